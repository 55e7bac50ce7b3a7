-- Files of our own: private, whole or not at all, hashed and removed with all that is in them.

local files = require "rtlua.files"
local folder = require "spec.support.folder"
local lfs = require "lfs"
local run = require "spec.support.run"

local function mode(path) return lfs.attributes(path, "permissions") end

describe("files of our own", function()
  it("are private, and replaced whole", function()
    local dir <close> = folder.new()
    assert.is_true(files.mkdir(dir.path .. "/a/b"))
    assert.equal("rwx------", mode(dir.path .. "/a/b"))
    local path = dir.path .. "/a/b/key"
    assert.is_true(files.write(path, "old"))
    assert.is_true(files.write(path, "new\0text"))
    assert.equal("rw-------", mode(path))
    assert.equal("new\0text", files.read(path))
    assert.equal(73, select(3, files.write(dir.path .. "/none/key", "")))
    assert.equal(66, select(3, files.read(dir.path .. "/none")))
  end)

  it("have the SHA-256 of FIPS 180-4, of a text and of a file", function()
    local dir <close> = folder.new()
    local abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert.equal(abc, files.sha256_text "abc")
    local million = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    files.write(dir.path .. "/a", ("a"):rep(1000000))
    assert.equal(million, files.sha256(dir.path .. "/a"))
    assert.equal(66, select(3, files.sha256(dir.path)))
  end)

  it("are hashed until a signal comes, which closes what the script holds", function()
    local dir <close> = folder.new()
    local script = dir:write("hash.lua", [[
      local file = io.open(arg[1], "wb")
      file:seek("set", 1 << 36) -- takes minutes, and no room
      file:write("x"):close()
      local held <close> = setmetatable({}, { __close = function() print "closed" end })
      print "hashing"
      io.stdout:flush()
      require("rtlua.files").sha256(arg[1])]])
    local result = run.rtlua({ script, dir.path .. "/huge" }, { signal = "INT", ready = ".", after = 0.5 })
    assert.equal(130, result.code)
    assert.equal("hashing\nclosed\n", result.stdout)
  end)

  it("in base64 are RFC 4648's", function()
    for text, expected in pairs { [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foobar = "Zm9vYmFy" } do
      assert.equal(expected, files.base64(text))
    end
  end)

  it("of a temporary folder go with it, but not what links in it point to", function()
    local kept <close> = folder.new()
    kept:write("kept", "")
    local path
    do
      local dir <close> = assert(files.temporary())
      path = dir.path
      assert.equal("rwx------", mode(path))
      assert.is_true(files.mkdir(path .. "/a/b"))
      files.write(path .. "/a/b/c", "")
      lfs.link(kept.path, path .. "/link", true)
    end
    assert.is_nil(mode(path))
    assert.same({ "kept" }, kept:list())
    assert.is_true(files.remove_tree(path))
  end)

  it("get names that nobody can guess", function()
    local met = {}
    for _ = 1, 1000 do met[files.random_name(10)] = true end
    local n = 0
    for name in pairs(met) do
      n = n + 1
      assert.matches("^[a-z0-9]+$", name)
      assert.equal(10, #name)
    end
    assert.equal(1000, n)
  end)
end)
