std = "lua54"
max_line_length = 120
include_files = { "**/*.lua", "rtlua", ".busted", ".luacheckrc", "*.rockspec" }
exclude_files = { "build/**", "types/**" }
files["scenes"] = { read_globals = { math = { fields = { pow = {} } } } } -- rtlua's own, the same bits everywhere
files["spec"] = { std = "lua54+busted" }
files["*.rockspec"] = { std = "lua54+rockspec" }
