rockspec_format = "3.0"
package = "rtlua"
version = "scm-1"
source = {
  url = "git+https://github.com/rtlua/rtlua.git",
}
description = {
  summary = "A path tracer in C whose scenes are Lua scripts",
  detailed = [[
rtlua renders scenes that are written as Lua 5.4 scripts: shapes, meshes,
instances, measured metals, glass, image based lighting, depth of field.
The picture is the same to the bit for any number of threads.]],
  license = "MIT",
  labels = { "graphics", "raytracing", "rendering" },
}
supported_platforms = { "unix" }
dependencies = {
  "lua ~> 5.4",
  "lua-cjson",
  "argparse",
  "luafilesystem",
}
-- By library name alone: a check for headers does not find Debian's multiarch folders.
external_dependencies = {
  PNG = { library = "png" },
  CURL = { library = "curl" },
}
build = {
  type = "make",
  variables = {
    CC = "$(CC)",
    CFLAGS = "$(CFLAGS)",
    LIBFLAG = "$(LIBFLAG)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    BINDIR = "$(BINDIR)",
    LUADIR = "$(LUADIR)",
    LIBDIR = "$(LIBDIR)",
    SHAREDIR = "$(PREFIX)",
  },
}
test = {
  type = "command",
  command = "make test",
}
