/* host PLUGIN: uses udpr itself, loads and unloads a plug-in that uses it, and prints whether they share one copy of it. */
#include <dlfcn.h>
#include <stdio.h>
#include <udpr/udpr.h>

typedef int         runs_fn(void);
typedef const void *udpr_fn(void);

int main(int argc, char **argv) {
  void *plugin = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  if (!plugin) return fprintf(stderr, "%s\n", dlerror()), 1;
  runs_fn *runs = (runs_fn *)dlsym(plugin, "plugin_runs");
  udpr_fn *its_udpr = (udpr_fn *)dlsym(plugin, "plugin_udpr");
  if (!runs || !its_udpr || runs() != 0) return 1;
  puts(its_udpr() == udpr_version_string() ? "one copy" : "two copies");
  return dlclose(plugin);
}
