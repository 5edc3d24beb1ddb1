"""The recipe of Conan 2: conan create . makes the package udpr. It needs cargo, like every build of udpr."""

import re
from pathlib import Path

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rmdir


class Udpr(ConanFile):
    name = "udpr"
    description = "A UDP reactor in the manner of Twisted, with a C API"
    license = "MIT OR Apache-2.0"
    topics = ("udp", "reactor", "network")
    package_type = "library"
    settings = "os", "compiler", "build_type", "arch"
    options = {"shared": [True, False]}
    default_options = {"shared": False}
    exports_sources = (
        *("CMakeLists.txt", "Cargo.*", "LICENSE-*", "*.md", "cmake/*", "src/*", "include/*", "docs/*", "c_examples/*"),
        *("vendor/*", ".cargo/*"),  # in a release tarball: scripts/dist
    )
    test_package_folder = "tests/consumer/conan"

    def set_version(self):
        manifest = load(self, Path(self.recipe_folder) / "Cargo.toml")
        self.version = re.search(r'^version = "(.*)"', manifest, re.M).group(1)

    def configure(self):
        # The library is one for C.
        self.settings.rm_safe("compiler.cppstd")
        self.settings.rm_safe("compiler.libcxx")

    def validate(self):
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("udpr runs on Linux only")

    def layout(self):
        cmake_layout(self)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["UDPR_BUILD_TESTS"] = False
        toolchain.cache_variables["UDPR_BUILD_EXAMPLES"] = False
        toolchain.cache_variables["UDPR_OFFLINE"] = (Path(self.source_folder) / "vendor").is_dir()
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE-*", self.source_folder, Path(self.package_folder) / "licenses")
        # Conan makes these files for the consumers.
        rmdir(self, Path(self.package_folder) / "lib/cmake")
        rmdir(self, Path(self.package_folder) / "lib/pkgconfig")
        # Linkers prefer the shared library where both are.
        copy(self, "libudpr.a", Path(self.package_folder) / "lib", Path(self.package_folder) / "lib/static")
        (Path(self.package_folder) / "lib/libudpr.a").unlink()

    def package_id(self):
        self.info.options.rm_safe("shared")  # one package has both libraries

    def package_info(self):
        self.cpp_info.libs = ["udpr"]
        self.cpp_info.set_property("cmake_file_name", "udpr")
        self.cpp_info.set_property("cmake_target_name", "udpr::udpr")
        self.cpp_info.set_property("pkg_config_name", "udpr")
        if not self.options.shared:
            self.cpp_info.libdirs = ["lib/static"]
            self.cpp_info.system_libs = ["util", "rt", "pthread", "m", "dl"]
