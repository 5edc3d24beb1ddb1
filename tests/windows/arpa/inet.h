#include "../sys/socket.h"
