-- Programs: what they are given, what comes back, and that none is left, however the script ends.

local folder = require "spec.support.folder"
local marked = require "spec.support.marked"
local process = require "rtlua.process"
local run = require "spec.support.run"
local system = require "rtlua.system"

local mark

-- Options with the mark in the environment.
local function with_mark(options)
  options.env = options.env or {}
  options.env.RTLUA_SPEC_MARK = mark.token
  return options
end
local function go(options) return process.run(with_mark(options)) end
local function start(options) return assert(process.start(with_mark(options))) end
local function sh(script) return { "sh", "-c", script } end

local function alive(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  if not file then return false end
  local state = file:read("a"):match "%) (%a)"
  file:close()
  return state ~= "Z"
end

-- Runs Lua text by ./rtlua as its user would. Fields of options: as run.rtlua's, and those of the text's `...`.
local function script(dir, text, options, ...)
  options = with_mark(options or {})
  dir:write("script.lua", 'local process = require "rtlua.process"\n' .. text)
  return run.rtlua({ dir.path .. "/script.lua", ... }, options)
end

before_each(function() mark = marked.new() end)
after_each(function()
  collectgarbage()
  assert.is_true(mark:gone(), "processes are left: " .. table.concat(mark:list(), " "))
end)

describe("process.run", function()
  it("passes arguments as they are, through no shell", function()
    local arguments = { "a b", "$HOME", "'", '"', "", "*", "; exit 1", "\n" }
    local result = go { "printf", "[%s]", table.unpack(arguments) }
    assert.equal("[" .. table.concat(arguments, "][") .. "]", result.stdout)
    assert.equal(0, result.code)
  end)
  it("tells exit codes, signals and time", function()
    assert.equal(7, go(sh "exit 7").code)
    local killed = go(sh "kill -TERM $$")
    assert.same({ "TERM", 143 }, { killed.signal, killed.code })
    local slept = go { "sleep", "0.2" }
    assert.is_true(slept.seconds >= 0.2 and slept.seconds < 2)
    assert.is_nil(slept.signal)
  end)
  it("feeds and drains at once, however much it is", function()
    local text = ("0123456789abcdef"):rep(1 << 18)
    local result = go { "cat", stdin = text }
    assert.is_true(result.stdout == text)
    local both = go(sh "head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero")
    assert.same({ 3000000, 3000000 }, { #both.stdout, #both.stderr })
  end)
  it("survives a program that does not read its input", function()
    assert.equal(0, go { "true", stdin = ("x"):rep(1 << 20) }.code)
  end)
  it("gives no input and no output where none is asked for", function()
    local result = go { "cat", stdout = false }
    assert.same({ 0, "", "" }, { result.code, result.stdout, result.stderr })
    assert.equal("onetwo", go { "sh", "-c", "printf one; printf two >&2", stderr = "stdout" }.stdout)
  end)
  it("writes to files of mode 0600", function()
    local dir <close> = folder.new()
    local path = dir.path .. "/log"
    go { "echo", "1", stdout = { file = path } }
    go { "echo", "2", stdout = { file = path, append = true } }
    assert.equal("1\n2\n", dir:read "log")
    assert.equal("rw-------", require("lfs").attributes(path, "permissions"))
    assert.equal("1\n2\n", go { "cat", stdin = { file = path } }.stdout)
    assert.same({ "log" }, dir:list())
  end)
  it("changes the environment and the working directory", function()
    local dir <close> = folder.new()
    local result = go { "sh", "-c", 'echo "$A-$HOME-${PATH:+path}"; pwd -P', env = { A = "x=y", HOME = false },
      cwd = dir.path }
    assert.equal(("x=y--path\n%s\n"):format(system.realpath(dir.path)), result.stdout)
    assert.has_error(function() go { "true", env = { ["A=B"] = "x" } } end)
  end)
  it("says that a program is missing, and how to go on", function()
    local dir <close> = folder.new()
    local cases = {
      { { "rtlua-no-such-program" }, 69, "rtlua%-no%-such%-program: there is no such program in PATH: install" },
      { { "/no/such" }, 66, "/no/such: there is no such program: check the path" },
      { { "true", cwd = "/no/such" }, 66, "/no/such: cannot work there" },
      { { dir:write("plain", "") }, 64, "chmod %+x" },
      { { "cat", stdin = { file = "/no/such" } }, 66, "/no/such: cannot be opened" },
      { { "echo", stdout = { file = "/no/such" } }, 73, "/no/such: cannot be opened" },
    }
    for _, case in ipairs(cases) do
      local result, message, code = go(case[1])
      assert.is_nil(result)
      assert.equal(case[2], code)
      assert.matches(case[3], message)
    end
    local path = dir:write("script", "echo no\n")
    os.execute("chmod +x " .. path)
    assert.equal(64, select(3, go { path })) -- no #!: a shell would run it
    assert.equal(64, select(2, pcall(go, { "true", kwd = "/" })).code)
    assert.has_error(function() go { "echo", "a\0b" } end)
    assert.equal(64, select(3, go {}))
  end)
  it("raises with check where anything went wrong", function()
    local function caught(options)
      options.check = true
      local fine, problem = pcall(go, options)
      assert.is_false(fine)
      return problem
    end
    assert.same({ 69, "sh: ended with 3: why" },
      { caught(sh "echo why >&2; exit 3").code, caught(sh "echo why >&2; exit 3").message })
    assert.matches("was ended by SIGKILL", caught(sh "kill -9 $$").message)
    assert.equal(69, caught({ "rtlua-no-such-program" }).code)
    assert.equal(75, caught({ "sleep", "9", timeout = 0.1 }).code)
  end)
  it("ends what is late, and keeps what it wrote", function()
    local result, message, code, partial = go { "sh", "-c", "echo early; sleep 9", timeout = 0.3 }
    assert.is_nil(result)
    assert.equal(75, code)
    assert.matches("took longer than 0.3 s", message)
    assert.equal("early\n", partial.stdout)
  end)
  it("hands over lines as they come", function()
    local lines, first = {}, nil
    local begin = system.now()
    go { "sh", "-c", "echo a; sleep 0.5; echo b >&2; printf 'c\n\nd'", on_line = function(line, stream)
      first = first or system.now() - begin
      lines[#lines + 1] = stream .. ":" .. line
    end }
    table.sort(lines)
    assert.same({ "stderr:b", "stdout:", "stdout:a", "stdout:c", "stdout:d" }, lines)
    assert.is_true(first < 0.45)
  end)
  it("calls nobody from within C: lines may raise and yield", function()
    assert.has_error(function() go { "sh", "-c", "echo a; sleep 9", on_line = function() error "no" end } end)
    local co = coroutine.wrap(function() return go { "echo", "a", on_line = coroutine.yield } end)
    assert.equal("a", co())
    assert.equal(0, co().code)
  end)
  it("keeps as much as the limit says, and no less goes to on_line", function()
    local n = 0
    local result = go { "sh", "-c", "yes | head -n 10000", limit = 100, on_line = function() n = n + 1 end }
    assert.same({ 100, true, 10000 }, { #result.stdout, result.truncated, n })
  end)
  it("opens nothing but three streams in the program", function()
    local leak <close> = assert(io.open("/dev/null")) -- luacheck: ignore
    local pipe <close> = assert(process.death_pipe())
    local look = "for i in $(seq 0 99); do [ ! -e /proc/$$/fd/$i ] || echo $i; done"
    assert.equal("0\n1\n2\n", go(sh(look)).stdout)
    assert.equal(("0\n1\n2\n%d\n"):format(pipe.reader), go { "sh", "-c", look, keep_fd = pipe.reader }.stdout)
  end)
  it("kills what the program left in its group", function()
    local result = go(sh "sleep 100 & echo $!")
    assert.is_true(result.seconds < 5)
    assert.is_true(marked.within(function() return not alive(tonumber(result.stdout)) end))
  end)
  it("returns although a daemon keeps the pipes", function()
    local begin = system.now() -- half a second for setsid: before it, the sleep is in the group that is killed
    local result = go(sh "setsid sleep 100 & sleep 0.5; echo $!")
    assert.is_true(system.now() - begin < 2)
    local pid = tonumber(result.stdout)
    assert.is_true(alive(pid))
    os.execute("kill " .. pid)
  end)
end)

describe("process.start", function()
  it("talks with a program", function()
    local child <close> = start { "cat", stdin = true }
    assert.equal("", child:read("stdout", 0.05))
    for _, text in ipairs { "one\n", "two\n" } do
      assert.is_true(child:write(text))
      assert.equal(text, child:read())
    end
    assert.same({ n = 3, nil, "still running", 75 }, table.pack(child:wait(0.05)))
    child:close_input()
    assert.is_nil(child:read())
    assert.equal(0, child:wait(5).code)
    assert.equal(69, select(3, child:write "late"))
  end)
  it("waits without blocking a program that writes much", function()
    local child <close> = start { "head", "-c", "3000000", "/dev/zero", limit = 1000 }
    assert.equal(0, child:wait(10).code)
    assert.same({ 1000, 2999000 }, { #child:read(), child:dropped "stdout" })
  end)
  it("sends signals by name to the whole group", function()
    local child <close> = start(sh "sleep 100 & wait")
    child:kill "USR1"
    assert.equal("USR1", child:wait(5).signal)
    assert.is_true(child:kill()) -- over: nothing
    assert.has_error(function() child:kill "NONE" end)
  end)
  it("ends a child with its scope, its group with it", function()
    local pid
    do
      local child <close> = start(sh "sleep 100 & echo $$; wait")
      assert.equal(child.pid, tonumber(child:read()))
      pid = child.pid
    end
    assert.is_false(alive(pid))
    local pair = {}
    pcall(function()
      local child <close> = start { "sleep", "100" }
      pair.pid = child.pid
      error "out"
    end)
    assert.is_false(alive(pair.pid))
  end)
  it("kills what does not obey, after a grace", function()
    local child <close> = start(sh "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    child:read()
    local begin = system.now()
    child:stop(0.2)
    assert.is_true(system.now() - begin >= 0.2)
    assert.equal("KILL", child:wait(1).signal)
  end)
  it("ends a stopped child and one that nobody holds any more", function()
    local child = start { "sleep", "100" }
    local pid = child.pid
    child:kill "STOP"
    child = nil -- luacheck: ignore
    collectgarbage()
    assert.is_false(alive(pid))
  end)
  it("is in its own group, or in ours for a terminal's sake", function()
    local function group(foreground)
      return go { "sh", "-c", "cut -d' ' -f5 /proc/$$/stat; echo $$", foreground = foreground }.stdout
    end
    local own, pid = group(false):match "(%d+)\n(%d+)"
    assert.equal(pid, own)
    local ours = io.open("/proc/self/stat"):read("a"):match "^%d+ %b() %a %d+ (%d+)"
    assert.equal(ours, group(true):match "%d+")
  end)
end)

describe("a detached program", function()
  it("has a session of its own and survives the script", function()
    local dir <close> = folder.new()
    local result = script(dir, [[
      local child <close> = assert(process.start { "sh", "-c", "echo up; cut -d' ' -f6 /proc/$$/stat; sleep 100",
        detached = true, stdout = { file = arg[1] } })
      print(child.pid)]], nil, dir.path .. "/log")
    assert.equal(0, result.code, result.stderr)
    local pid = tonumber(result.stdout)
    assert.is_true(marked.within(function() return dir:read("log") == ("up\n%d\n"):format(pid) end))
    assert.is_true(alive(pid))
    os.execute("kill -KILL -" .. pid .. " 2>/dev/null || kill -KILL " .. pid)
  end)
  it("has no pipes, and is reaped when it ends first", function()
    assert.equal(64, select(3, process.start { "true", detached = true, stdout = true }))
    local child = start { "true", detached = true }
    assert.equal(0, child:wait(5).code)
    start { "true", detached = true }:close()
    os.execute "sleep 0.1"
    start({ "true", detached = true }):wait(5) -- a start reaps what was closed before its end
  end)
end)

describe("a script's children", function()
  local child_of = [[
    local child = assert(process.start { "sh", "-c", "trap '' HUP; echo $$; sleep 100 & wait" })
    io.write(child:read()); io.flush()
  ]]
  local function ends(name, text, options, code)
    it("end when it " .. name, function()
      local dir <close> = folder.new()
      local result = script(dir, child_of .. text, options)
      assert.matches("^%d+\n$", result.stdout, result.stderr)
      assert.equal(code, result.code, result.stderr)
      if (options or {}).signal == "KILL" then
        -- Only the child itself is the kernel's business; what it started is the watcher's.
        local pid = tonumber(result.stdout)
        assert.is_true(marked.within(function() return not alive(pid) end))
        os.execute("kill -KILL -" .. pid .. " 2>/dev/null")
      end
      assert.is_true(mark:gone())
      assert.same({ "script.lua" }, dir:list())
    end)
  end
  ends("returns", "", nil, 0)
  ends("calls os.exit", "os.exit(5)", nil, 5)
  ends("gets SIGTERM while it waits", "child:wait()", { signal = "TERM", ready = ".", after = 0.2 }, 143)
  ends("gets SIGINT in a loop", "while true do end", { signal = "INT", ready = ".", after = 0.2 }, 130)
  ends("is killed", "child:wait()", { signal = "KILL", ready = ".", after = 0.2 }, 137)

  it("end with it at once, at a second signal", function()
    local dir <close> = folder.new()
    local child <close> = start { "./rtlua", dir:write("script.lua", [[
      local process = require "rtlua.process"
      local slow <close> = setmetatable({}, { __close = function() process.run { "sleep", "100" } end })
      local child = process.start { "sh", "-c", "trap '' TERM; echo up; sleep 100 & sleep 100" }
      io.write(child:read()); io.flush()
      child:wait()]]) }
    assert.equal("up\n", child:read("stdout", 20))
    os.execute("kill -INT " .. child.pid .. "; sleep 0.5")
    assert.equal(75, select(3, child:wait(0)))
    os.execute("kill -INT " .. child.pid)
    assert.equal(130, child:wait(5).code)
    assert.is_true(mark:gone())
  end)
  it("may be run by its cleaning up, after the signal", function()
    local dir <close> = folder.new()
    local result = script(dir, [[
      local guard <close> = setmetatable({}, { __close = function()
        local result = process.run { "sh", "-c", "sleep 0.3; echo cleaned" }
        io.write(result and result.stdout or "nothing\n")
      end })
      io.write "up\n"; io.flush()
      process.run { "sleep", "100" }]], { signal = "INT", ready = ".", after = 0.2 })
    assert.equal("up\ncleaned\n", result.stdout)
    assert.equal(130, result.code)
  end)
  it("do not break off its cleaning up after an error, when a signal comes", function()
    local dir <close> = folder.new()
    local result = script(dir, [[
      local system = require "rtlua.system"
      local function clean()
        io.write "up\n"; io.flush()
        local till = system.now() + 0.7
        repeat until system.now() > till
        io.write "cleaned\n"
      end
      coroutine.wrap(function()
        pcall(function()
          local guard <close> = setmetatable({}, { __close = clean })
          error "wrong"
        end)
        io.write "too much\n"
      end)()]], { signal = "INT", ready = ".", after = 0.2 })
    assert.equal("up\ncleaned\n", result.stdout)
    assert.equal(130, result.code)
  end)
end)

describe("a death pipe", function()
  it("tells a watcher of the script's death, and the script of the watcher's", function()
    local dir <close> = folder.new()
    dir:write("watcher.lua", [[
      local process = require "rtlua.process"
      local file = assert(io.open(arg[2], "w"))
      file:write("up\n"); file:flush()
      assert(process.hung_up(tonumber(arg[1])))
      file:write("died\n"); file:close()]])
    local result = script(dir, [[
      local pipe = assert(process.death_pipe())
      local watcher = assert(process.start { arg[1], arg[2] .. "/watcher.lua", tostring(pipe.reader),
        arg[2] .. "/log", detached = true, keep_fd = pipe.reader })
      pipe:close_reader()
      -- Another detached program has neither end: it must not hide the death.
      assert(process.start { "sleep", "5", detached = true })
      local function log() local f = io.open(arg[2] .. "/log"); return f and f:read "a" or "" end
      while log() ~= "up\n" do watcher:wait(0.05) end
      print(process.hung_up(pipe.writer, 0))
      io.flush()
      while true do watcher:wait(1) end]], { signal = "KILL", ready = "." }, require("lfs").currentdir() .. "/rtlua",
      dir.path)
    assert.equal("false\n", result.stdout, result.stderr)
    assert.is_true(marked.within(function() return dir:read "log" == "up\ndied\n" end, 3))
    assert.is_true(mark:gone(10))

    local pipe <close> = assert(process.death_pipe())
    local watcher <close> = start { "sleep", "100", keep_fd = pipe.reader }
    pipe:close_reader()
    assert.is_false(process.hung_up(pipe.writer, 0))
    watcher:stop()
    assert.is_true(process.hung_up(pipe.writer, 1))
  end)
end)
