-- The Docker Engine: what its API says in pieces is put together rightly, and a real engine does what it is told.

local context = require "rtlua.machine.context"
local dockerd = require "spec.support.dockerd"
local engine = require "rtlua.machine.engine"
local files = require "rtlua.files"
local folder = require "spec.support.folder"
local lfs = require "lfs"
local loop = require "rtlua.loop"
local process = require "rtlua.process"
local readiness = require "rtlua.machine.readiness"
local ssh = require "rtlua.machine.ssh"
local sshd = require "spec.support.sshd"
local system = require "rtlua.system"

describe("the engine's streams", function()
  it("are taken apart wherever they are cut", function()
    local frames = {
      { "stdout", "one\ntwo" }, { "stderr", "" }, { "stdout", ("x"):rep(70000) }, { "stderr", "\0\1\2" },
    }
    local text = ""
    for _, frame in ipairs(frames) do
      text = text .. (">BxxxI4"):pack(frame[1] == "stdout" and 1 or 2, #frame[2]) .. frame[2]
    end
    for _, size in ipairs { 1, 3, 7, 8, 9, 4096, #text } do
      local got = {}
      local take = engine.frames(function(stream, part) got[#got + 1] = { stream, part } end)
      for from = 1, #text, size do take(text:sub(from, from + size - 1)) end
      assert.same(frames, got)
    end
  end)
  it("become lines, the last one too", function()
    local lines = {}
    local take = engine.lines("stdout", function(line, stream) lines[#lines + 1] = stream .. ":" .. line end)
    for _, chunk in ipairs { "a", "b\r\n", "", "c\n\nd" } do take(chunk) end
    take(nil)
    assert.same({ "stdout:ab", "stdout:c", "stdout:", "stdout:d" }, lines)
  end)
  it("bear times that are known", function()
    assert.same({ 1795697202, "184232540" }, { engine.unix_time "2026-11-26T12:46:42.184232540Z" })
    assert.same({ 951782400, "000000000" }, { engine.unix_time "2000-02-29T00:00:00Z" })
    assert.same({ 0, "500000000" }, { engine.unix_time "1970-01-01T00:00:00.5Z" })
    assert.is_nil(engine.unix_time "yesterday")
  end)
end)

describe("a build's context", function()
  it("is without what .dockerignore names", function()
    local rules = context.rules [[
# a comment
build
*.png
**/*.o
!keep.png
docs/**
!docs/a.md
spec/*/b?
]]
    for path, out in pairs {
      build = true, ["build/a/b"] = true, xbuild = false, ["a.png"] = true, ["d/a.png"] = false, ["keep.png"] = false,
      ["x.o"] = true, ["a/b/x.o"] = true, ["docs/b/c"] = true, ["docs/a.md"] = false, ["spec/a/bc"] = true,
      ["spec/a/bcd"] = false, ["a#b"] = false,
    } do assert.equal(out, context.ignores(rules, path), path) end
  end)
  it("is packed with its Dockerfile, whatever is ignored", function()
    local dir <close> = folder.new()
    assert(lfs.mkdir(dir.path .. "/in"))
    assert(lfs.mkdir(dir.path .. "/in/out"))
    for name, text in pairs {
      [".dockerignore"] = "*\n!out/kept\n", Dockerfile = "FROM x\n", a = "a", ["out/kept"] = "k", ["out/b c"] = "b",
    } do dir:write("in/" .. name, text) end
    context.pack(dir.path .. "/in", dir.path .. "/tar", "Dockerfile")
    local listed = process.run { "tar", "-t", "-f", dir.path .. "/tar", check = true }
    assert.equal("out/kept\nDockerfile\n", listed.stdout)
    local fine, problem = pcall(context.pack, dir.path .. "/none", dir.path .. "/tar", "Dockerfile")
    assert.is_false(fine)
    assert.same({ "engine", 66 }, { problem.stage, problem.code })
  end)
end)

describe("an engine that is not there", function()
  it("is said to be so", function()
    local dir <close> = folder.new()
    local there <close> = engine.new { socket = dir.path .. "/none" }
    assert.is_nil(there:ping())
    local fine, problem = pcall(there.info, there)
    assert.is_false(fine)
    assert.equal("engine", problem.stage)
    assert.is_true(problem.code == 69 or problem.code == 75)
  end)
end)

describe("a real engine #real", function()
  local server, there

  setup(function() server = dockerd.start() end)
  teardown(function() server:close() end)
  before_each(function() there = engine.new { socket = server.socket } end)
  after_each(function()
    assert.same({}, there:list())
    there:close()
  end)

  -- A container of the spec, which is removed with its scope.
  local function container(script, more)
    local options = { image = "busybox:spec", command = { "sh", "-c", script } }
    for name, value in pairs(more or {}) do options[name] = value end
    local id = there:create(options)
    return setmetatable({ id = id }, { __close = function() there:remove(id) end })
  end

  it("says who it is", function()
    assert.is_true(there:ping())
    assert.matches("^%d+%.%d+$", there:version().ApiVersion)
    assert.is_string(there:info().ID)
  end)
  it("runs a command to its end, and hands over its lines", function()
    local c <close> = container("echo $A; echo err >&2; pwd; printf tail; exit 4", {
      env = { A = "b 'c" }, cwd = "/tmp", labels = { ["rtlua:run-x"] = "" }, name = "spec-1",
    })
    there:start(c.id)
    local lines = {}
    local stamp = there:logs(c.id, function(line, stream) lines[#lines + 1] = stream .. ":" .. line end)
    assert.equal(4, there:wait(c.id))
    table.sort(lines)
    assert.same({ "stderr:err", "stdout:/tmp", "stdout:b 'c", "stdout:tail" }, lines)
    assert.same({ 1, 1, 0 }, {
      #there:list { label = "rtlua:run-x" }, #there:list { label = { "rtlua:run-x" } },
      #there:list { label = { "rtlua:run-x", "other" } },
    })
    -- Nothing comes twice.
    assert.equal(stamp, there:logs(c.id, function(line) error(line) end, { since = stamp }))
  end)
  it("hands over lines as they come, side by side with others", function()
    local c <close> = container "echo first; sleep 30"
    there:start(c.id)
    local others, seen = 0, nil
    local results = loop.all {
      function()
        local fine, problem = pcall(there.logs, there, c.id, function(line)
          seen = line
          loop.sleep(0.2)
          error "enough"
        end)
        return not fine and problem
      end,
      function()
        repeat
          loop.sleep(0.02)
          others = others + 1
        until seen
        return there:ping()
      end,
    }
    assert.equal("first", seen)
    assert.matches("enough", results[1][2])
    assert.is_true(results[2][2])
  end)
  it("waits no longer than it is told, and ends what runs", function()
    local c <close> = container "trap '' TERM; while :; do sleep 1; done"
    there:start(c.id)
    assert.same({ n = 3, nil, "still running", 75 }, table.pack(there:wait(c.id, 0.3)))
    assert.is_true(there:kill(c.id))
    assert.equal(137, there:wait(c.id))
    assert.is_false(there:kill(c.id))
    assert.is_false(there:inspect(c.id).State.Running)
  end)
  it("runs commands in a container", function()
    local c <close> = container "while :; do sleep 100; done"
    there:start(c.id)
    local got = {}
    local exec <close> = there:exec(c.id, { "sh", "-c", "echo $A; echo e >&2; exit 255", env = { A = "x y" } },
      function(stream, text) got[#got + 1] = stream .. ":" .. text end)
    while not exec:step(1) do end -- luacheck: ignore
    table.sort(got)
    assert.same({ "stderr:e\n", "stdout:x y\n" }, got)
    assert.equal(255, exec:result())
  end)
  it("takes and gives archives", function()
    local dir <close> = folder.new()
    dir:write("big", files.random(1 << 16):rep(64))
    process.run { "tar", "-c", "-f", dir.path .. "/tar", "-C", dir.path, "big", check = true }
    local c <close> = container "true"
    there:put_archive(c.id, "/tmp", dir.path .. "/tar")
    assert.is_true(there:get_archive(c.id, "/tmp/big", dir.path .. "/back"))
    assert(lfs.mkdir(dir.path .. "/out"))
    process.run { "tar", "-x", "-f", dir.path .. "/back", "-C", dir.path .. "/out", check = true }
    assert.equal(files.sha256(dir.path .. "/big"), files.sha256(dir.path .. "/out/big"))
    assert.is_nil(there:get_archive(c.id, "/none", dir.path .. "/none"))
    assert.is_nil(system.exists(dir.path .. "/none"))
  end)
  it("builds, and shows how", function()
    local dir <close> = folder.new()
    dir:write("Dockerfile", "FROM busybox:spec\nARG WHO\nCOPY a /a\nRUN echo hello $WHO; cat /a >&2\n")
    dir:write("a", "content\n")
    local lines = {}
    there:build {
      context = dir.path, tag = "spec-built", arguments = { WHO = "you" },
      on_log = function(line) lines[#lines + 1] = line end,
    }
    local text = table.concat(lines, "\n")
    assert.matches("Step 1/4 : FROM busybox:spec", text, 1, true)
    assert.matches("\nhello you\n", text, 1, true)
    assert.matches("\ncontent\n", text, 1, true) -- of standard error, without its colour
    assert.is_true(there:has "spec-built")
    process.run {
      "curl", "-sf", "--unix-socket", server.socket, "-o", dir.path .. "/saved", "http://docker/images/spec-built/get",
      check = true,
    }
    there:remove_image "spec-built"
    assert.is_false(there:has "spec-built")
    there:load(dir.path .. "/saved")
    assert.is_true(there:has "spec-built")
    there:remove_image "spec-built"
  end)
  it("shows what it refuses", function()
    local dir <close> = folder.new()
    local function refused(text, f, ...)
      local fine, problem = pcall(f, there, ...)
      assert.is_false(fine)
      assert.same({ "engine", 69 }, { problem.stage, problem.code })
      assert.matches(text, problem.message)
    end
    refused("No such image: nope:latest", there.create, { image = "nope" })
    refused("No such container", there.start, "none")
    refused("nope%.invalid/x:1 cannot be pulled: .*dial", there.pull, "nope.invalid/x:1")
    dir:write("Dockerfile", "FROM busybox:spec\nRUN echo no; exit 7\n")
    refused("spec cannot be built: .*returned a non%-zero code: 7", there.build, { context = dir.path, tag = "spec" })
    dir:write("Dockerfile", "FRM busybox:spec\n")
    refused("spec cannot be built: .*unknown instruction: FRM", there.build, { context = dir.path, tag = "spec" })
    dir:write("no.tar", "no tar")
    refused("cannot be loaded", there.load, dir.path .. "/no.tar")
    assert.is_nil(there:inspect "none")
    there:remove "none"
  end)
  it("is reached through SSH, and logs go on where the connection was lost", function()
    local host <close> = sshd.start()
    local dir <close> = folder.new()
    local connection <close> = ssh.new(host.fields)
    local forward <close> = assert(connection:forward(dir.path .. "/sock", server.socket))
    assert.is_true(readiness.engine_answers({
      forward = function(_, _, socket) return connection:forward(dir.path .. "/other", socket) end,
    }, server.socket))
    local pace = loop.pace
    finally(function() loop.pace = pace end) -- luacheck: ignore
    loop.pace = function(seconds) return seconds * 0.1 end -- luacheck: ignore
    local far <close> = engine.new { socket = forward.socket, before = function() forward:ensure() end }
    local c <close> = container "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.3; done"
    far:start(c.id)
    local lines = {}
    far:logs(c.id, function(line)
      lines[#lines + 1] = line
      if line == "3" or line == "5" then host:cut() end
    end)
    assert.same({ "1", "2", "3", "4", "5", "6", "7", "8" }, lines)
    assert.equal(0, far:wait(c.id))
  end)
end)
