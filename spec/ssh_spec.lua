-- SSH, against a real sshd: what is sent arrives as it is, only the right host is spoken to, and nothing is left.

local files = require "rtlua.files"
local folder = require "spec.support.folder"
local lfs = require "lfs"
local loop = require "rtlua.loop"
local marked = require "spec.support.marked"
local process = require "rtlua.process"
local run = require "spec.support.run"
local ssh = require "rtlua.machine.ssh"
local sshd = require "spec.support.sshd"
local system = require "rtlua.system"
local transports_ssh = require "rtlua.machine.transports.ssh"

local function named(pattern)
  local found = {}
  for name in lfs.dir "/proc" do
    local file = name:match "^%d+$" and io.open(("/proc/%s/cmdline"):format(name))
    if file then
      local line = (file:read "a" or ""):gsub("%z", " ")
      file:close()
      if line:find(pattern, 1, true) then found[#found + 1] = line end
    end
  end
  return found
end

local function gone(pattern) return marked.within(function() return #named(pattern) == 0 end) end

describe("ssh #real", function()
  local server, host

  before_each(function()
    server = sshd.start()
    host = ssh.new(server.fields)
  end)
  after_each(function()
    host:close()
    server:close()
    assert.is_true(gone(server.dir.path), table.concat(named(server.dir.path), "\n"))
    assert.is_nil(system.exists(server.dir.path))
  end)

  -- ---- Commands

  it("passes arguments as they are", function()
    local arguments = { "a b", "$HOME", "'", '"', "", "*", "; exit 1", "\n", "\\", "`id`", "-n", "é\27[1m", "!!", "%s" }
    local result = assert(host:run { "printf", "[%s]", table.unpack(arguments) })
    assert.equal("[" .. table.concat(arguments, "][") .. "]", result.stdout)
    assert.has_error(function() host:run { "echo", "a\0b" } end)
  end)
  it("tells codes, streams, folder, environment and input", function()
    local lines = {}
    local result = assert(host:run { "sh", "-c", "echo out; echo err >&2; exit 3", on_line = function(line, stream)
      lines[#lines + 1] = stream .. ":" .. line
    end })
    table.sort(lines)
    assert.same({ 3, "out\n", "err\n" }, { result.code, result.stdout, result.stderr })
    assert.same({ "stderr:err", "stdout:out" }, lines)
    assert.equal(137, host:run({ "sh", "-c", "kill -KILL $$" }).code)
    local text = ("x'\n"):rep(1 << 18)
    assert.is_true(host:run({ "cat", stdin = text }).stdout == text)
    local seen = host:run { "sh", "-c", 'pwd; echo "$A-${HOME-none}"', cwd = "/", env = { A = "x'y z", HOME = false } }
    assert.equal("/\nx'y z-none\n", seen.stdout)
    assert.equal(127, host:run({ "rtlua-no-such-program" }).code)
    assert.equal(126, host:run({ "true", cwd = "/no/such" }).code)
  end)
  it("tells a command that ends with 255 from a connection that is lost", function()
    local lines = {}
    local result = assert(host:run { "sh", "-c", "printf why >&2; exit 255", on_line = function(line)
      lines[#lines + 1] = line
    end })
    assert.same({ 255, "why" }, { result.code, result.stderr })
    assert.same({ "why" }, lines)
    local child <close> = assert(host:start { "sh", "-c", "printf why >&2; exit 255" })
    assert.equal("why", child:read "stderr")
    assert.equal(255, child:wait(20).code)
  end)
  it("raises with check where a command fails", function()
    local _, problem = pcall(host.run, host, { "sh", "-c", "echo because >&2; exit 3", check = true })
    assert.same({ 69, "sh: ended with 3: because" }, { problem.code, problem.message })
  end)
  it("ends on the machine what is late or let go here", function()
    local _, message, code = host:run { "sh", "-c", "sleep 1234.5 & sleep 1234.5", timeout = 0.5 }
    assert.equal(75, code)
    assert.equal("sh: took longer than 0.5 s: allow it more time", message)
    assert.is_true(gone "sleep 1234.5")
    local child = assert(host:start { "sleep", "1234.6" })
    assert.is_true(marked.within(function() return #named "sleep 1234.6" > 0 end))
    child:close()
    assert.is_true(gone "sleep 1234.6")
  end)
  it("shares one connection, side by side, too", function()
    local begin = system.now()
    local results = loop.all {
      function() return host:run { "sh", "-c", "sleep 1; echo a" } end,
      function() return host:run { "sh", "-c", "sleep 1; echo b" } end,
      function() return host:run { "sh", "-c", "sleep 1; echo c" } end,
    }
    assert.is_true(system.now() - begin < 2.5)
    assert.same({ "a\n", "b\n", "c\n" }, { results[1][2].stdout, results[2][2].stdout, results[3][2].stdout })
    assert.equal(1, #named(("ControlMaster=yes -o ControlPath=%s"):format(server.fields.control)))
  end)
  it("talks with a command that goes on", function()
    local child <close> = assert(host:start { "sh", "-c", "echo ready; sleep 100" })
    assert.equal("ready\n", child:read("stdout", 20))
    assert.same({ n = 3, nil, "still running", 75 }, table.pack(child:wait(0.05)))
  end)

  -- ---- Connections

  it("says when the connection is lost, and makes it anew", function()
    local first = assert(host:run { "echo", "one" })
    assert.equal("one\n", first.stdout)
    local cut = false
    local result, message, code = host:run { "sh", "-c", "echo up; sleep 100", on_line = function()
      if not cut then server:cut() end
      cut = true
    end }
    assert.same({ n = 2, nil, 75 }, { n = 2, result, code })
    assert.matches("^127%.0%.0%.1: ", message)
    assert.equal("two\n", assert(host:run { "echo", "two" }).stdout)
    local child <close> = assert(host:start { "sh", "-c", "echo up; sleep 100" })
    assert.equal("up\n", child:read("stdout", 20))
    server:cut()
    assert.equal(75, select(3, child:wait(20)))
  end)
  it("gives a silent connection up, and makes it anew", function()
    local pace = loop.pace
    finally(function() loop.pace = pace end) -- luacheck: ignore
    loop.pace = function(seconds) return seconds * 0.01 end -- luacheck: ignore
    local begin, frozen = system.now(), false
    local result, _, code = host:run { "sh", "-c", "echo up; sleep 100", on_line = function()
      if not frozen then server:freeze() end
      frozen = true
    end }
    assert.same({ n = 2, nil, 75 }, { n = 2, result, code })
    assert.is_true(system.now() - begin < 15)
    assert.equal("two\n", assert(host:run { "echo", "two" }).stdout)
  end)
  it("says that nobody answers, and goes on when somebody does", function()
    server:down()
    local answer, message, code = host:check()
    assert.is_nil(answer)
    assert.equal(75, code)
    assert.matches("Connection refused", message)
    server:up()
    assert.is_true(host:check())
  end)
  it("says that the key is refused", function()
    server.dir:write("authorized_keys", "")
    local _, message, code = host:check()
    assert.equal(75, code)
    assert.matches("Permission denied", message)
  end)
  it("refuses a host with another key, at once", function()
    server:change_host_key()
    for _, try in ipairs { host.check, function() return host:run { "true" } end } do
      assert.is_true(marked.within(function()
        local fine, problem = pcall(try, host)
        return not fine and problem.stage == "ssh" and problem.code == 69
          and problem.message:find("host key differs.*refused") ~= nil
      end))
    end
  end)
  it("refuses a host that it does not know", function()
    server.dir:write("known_hosts", "")
    local fine, problem = pcall(host.check, host)
    assert.is_false(fine)
    assert.equal(69, problem.code)
    assert.equal("", server.dir:read "known_hosts")
  end)
  it("works without a shared connection where its socket's path would be too long", function()
    server.fields.control = server.dir.path .. "/" .. ("x"):rep(100)
    local slow <close> = ssh.new(server.fields)
    assert.equal("a\n", assert(slow:run { "echo", "a" }).stdout)
    assert.is_nil(system.exists(server.fields.control))
  end)
  it("takes a host key that was made there, and no longer the first", function()
    local first = server.dir:read "known_hosts"
    host:rekey { host_key = server.host_key, pid_file = server.pid_file }
    local second = server.dir:read "known_hosts"
    assert.matches("^spec%-host ssh%-ed25519 %S+\n$", second)
    assert.are_not.equal(first, second)
    assert.is_true(host:check())
    assert.matches(second:match "ssh%-ed25519 (%S+)", server.dir:read "host.pub", 1, true)
    server.fields.known_hosts = server.dir:write("first", first)
    server.fields.control = server.dir.path .. "/other"
    local other <close> = ssh.new(server.fields)
    local fine, problem = pcall(other.check, other)
    assert.is_false(fine)
    assert.equal(69, problem.code)
  end)
  it("says why no fresh host key could be made", function()
    local fine, problem = pcall(host.rekey, host, { host_key = "/no/such/folder/key", pid_file = server.pid_file })
    assert.is_false(fine)
    assert.same({ "ssh", 69 }, { problem.stage, problem.code })
    assert.matches("No such file", problem.message)
    assert.is_true(host:check())
  end)
  it("leaves nothing, here or there, of a script that is killed", function()
    local f = server.fields
    local script = server.dir:write("script.lua", ([[
      local host = require("rtlua.machine.ssh").new {
        address = %q, port = %d, alias = %q, key = %q, known_hosts = %q, control = %q,
      }
      local child = assert(host:start { "sh", "-c", "echo up; sleep 1234.7" })
      assert(host:forward(%q, "/none"))
      io.write(child:read()); io.flush()
      child:wait()]]):format(f.address, f.port, f.alias, f.key, f.known_hosts, f.control, server.dir.path .. "/sock"))
    local result = run.rtlua({ script }, { signal = "KILL", ready = ".", after = 0.3 })
    assert.same({ "up\n", 137 }, { result.stdout, result.code })
    assert.is_true(gone "sleep 1234.7")
    assert.is_true(gone("ControlPath=" .. f.control))
    assert.is_true(gone "StreamLocalBindUnlink")
  end)
  it("brings a socket of the machine here, for us alone", function()
    local socket = require "socket.unix"
    local remote = server.dir.path .. "/remote"
    local listener = assert(socket())
    assert(listener:bind(remote))
    assert(listener:listen(4))
    local path = server.dir.path .. "/local"
    local forward = assert(host:forward(path, remote))
    assert.equal("rw-------", lfs.attributes(path, "permissions"))
    local function talk()
      local client = socket()
      assert(client:connect(path))
      client:send "hello\n"
      local served = assert(listener:accept())
      local line = served:receive "*l"
      served:close()
      client:close()
      return line
    end
    assert.equal("hello", talk())
    server:cut()
    assert.is_truthy(marked.within(function() return forward.child:wait(0) end))
    assert.is_true(forward:ensure())
    assert.equal("hello", talk())
    forward:close()
    assert.is_nil(system.exists(path))
    listener:close()
  end)
  it("knows a host's parts", function()
    assert.same({ "me", "host", 2222 }, { ssh.destination "me@host:2222" })
    assert.same({ n = 3, nil, "host" }, table.pack(ssh.destination "host"))
    assert.same({ "me", "::1", 22 }, { ssh.destination "me@[::1]:22" })
    assert.same({ n = 3, nil, "fe80::1" }, table.pack(ssh.destination "fe80::1"))
    for _, text in ipairs { "-oProxyCommand=x", "me@-x", "a b" } do
      assert.equal(64, select(2, pcall(ssh.destination, text)).code)
    end
  end)

  -- ---- Copies

  local function transport()
    local t = transports_ssh.new({ name = "spec-run", run = "run", host = "nobody@127.0.0.1" }, server.dir.path)
    t.ssh = host
    return t
  end

  it("copies a big file both ways, checked", function()
    local t, dir <close> = transport(), folder.new()
    local big = dir:write("big", files.random(1 << 16):rep(1 << 9)) -- 32 MiB
    local there = dir.path .. "/deep er/it's"
    t:put(big, there)
    assert.equal(files.sha256(big), files.sha256(there))
    assert.equal(files.sha256(big), t:sha256(there))
    t:get(there, dir.path .. "/back")
    assert.equal(files.sha256(big), files.sha256(dir.path .. "/back"))
    assert.is_nil(t:sha256(dir.path .. "/none"))
    assert.same({ "back", "big", "deep er" }, dir:list())
  end)
  it("copies a folder with what is in it", function()
    local t, dir <close> = transport(), folder.new()
    assert(lfs.mkdir(dir.path .. "/a"))
    assert(lfs.mkdir(dir.path .. "/a/b c"))
    dir:write("a/b c/x", "inner")
    dir:write("a/.hidden", "hidden")
    t:put(dir.path .. "/a", dir.path .. "/to/there")
    assert.equal("inner", dir:read "to/there/b c/x")
    assert.equal("hidden", dir:read "to/there/.hidden")
  end)
  it("copies what was cut off again", function()
    local t, dir <close> = transport(), folder.new()
    local big = dir:write("big", files.random(1 << 16):rep(1 << 8))
    assert(host:check())
    local begun = host.run
    host.run = function(self, command) -- the first attempt loses its connection
      host.run = begun
      assert(self:connect())
      server:cut()
      return begun(self, command)
    end
    t:put(big, dir.path .. "/there")
    assert.equal(files.sha256(big), files.sha256(dir.path .. "/there"))
  end)
  it("says what cannot be copied, and leaves nothing of it", function()
    local t, dir <close> = transport(), folder.new()
    local small = dir:write("small", "x")
    local function refused(stage, code, text, f, ...)
      local fine, problem = pcall(f, t, ...)
      assert.is_false(fine)
      assert.same({ stage, code }, { problem.stage, problem.code })
      assert.matches(text, problem.message)
    end
    refused("upload", 66, "there is no such file", t.put, dir.path .. "/none", "/tmp/x")
    refused("upload", 69, "is a folder there", t.put, small, dir.path)
    refused("upload", 69, "cannot create directory", t.put, small, "/proc/rtlua/x")
    refused("download", 66, "no such file on the machine", t.get, dir.path .. "/none", dir.path .. "/got")
    refused("download", 73, "No such file", t.get, small, dir.path .. "/none/got")
    assert.same({ "small" }, dir:list())
  end)
  it("says that the machine's disk is full, and leaves nothing there", function()
    local t, dir <close> = transport(), folder.new()
    local big = dir:write("big", ("x"):rep(1 << 21))
    local disk = dir.path .. "/disk"
    assert(lfs.mkdir(disk))
    process.run { "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk, check = true }
    finally(function() process.run { "umount", "-l", disk } end)
    local fine, problem = pcall(t.put, t, big, disk .. "/big")
    local names = process.run({ "ls", "-A", disk }).stdout
    process.run { "umount", disk, check = true }
    assert.is_false(fine)
    assert.same({ "upload", 69 }, { problem.stage, problem.code })
    assert.matches("No space left on device", problem.message)
    assert.equal("", names)
  end)
  it("removes the sockets of a machine that is gone, and no others", function()
    local dir <close> = folder.new()
    local getenv = os.getenv
    finally(function() os.getenv = getenv end) -- luacheck: ignore
    os.getenv = function(name) return name == "XDG_RUNTIME_DIR" and dir.path or getenv(name) end -- luacheck: ignore
    assert.equal(dir.path .. "/rtlua", transports_ssh.socket_folder())
    for _, name in ipairs { "aaaa.x", "aaaab.x", "bbbb.x" } do dir:write("rtlua/" .. name, "") end
    transports_ssh.forget { run = "aaaa" }
    local left = {}
    for name in lfs.dir(dir.path .. "/rtlua") do
      if name:match "%.x$" then left[#left + 1] = name end
    end
    table.sort(left)
    assert.same({ "aaaab.x", "bbbb.x" }, left)
  end)
  it("has fresh folders on the machine", function()
    local t = transport()
    local a, b = t:folder(), t:folder()
    assert.are_not.equal(a, b)
    assert.equal("rwx------", lfs.attributes(a, "permissions"))
    assert.matches("/%.rtlua/spec%-run/work%.", a)
    files.remove_tree((a:gsub("/[^/]*$", "")))
    lfs.rmdir((a:gsub("/[^/]*/[^/]*$", "")))
  end)
end)
