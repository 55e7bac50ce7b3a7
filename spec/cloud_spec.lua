-- rtlua.cloud as scripts use it: on this computer, and against the local cloud where a provider has to answer. Each
-- script runs as its user runs it; afterwards nothing of it is left.

local cloud = require "spec.support.cloud"
local folder = require "spec.support.folder"
local lfs = require "lfs"
local marked = require "spec.support.marked"
local run = require "spec.support.run"

local PRELUDE = [[
  local cloud = require "rtlua.cloud"
  local function failure(f, ...)
    local fine, problem = pcall(f, ...)
    assert(not fine, "it did not fail")
    return ("%s %s %s"):format(problem.code, problem.stage, problem.reason or problem.message)
  end
  io.stdout:setvbuf "line"
]]

local dir, mark

-- Runs a script: its lines of standard output. Fields: code (0), env, driver's double, stderr (a pattern).
local function script(text, fields)
  fields = fields or {}
  local env = { RTLUA_STATE = dir.path .. "/state", RTLUA_SPEC_MARK = mark.token, RTLUA_PACE = 0.02 }
  for name, value in pairs(fields.env or {}) do env[name] = value end
  dir:write("script.lua", PRELUDE .. text)
  local result = run.rtlua({ "script.lua" }, { cwd = dir.path, env = env })
  assert.equal(fields.code or 0, result.code, result.stderr)
  if fields.stderr then assert.matches(fields.stderr, result.stderr) end
  local lines = {}
  for line in result.stdout:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines, result.stderr
end

local function is_clean(state)
  for _, name in ipairs { "journal", "machines", "local" } do
    if #folder.entries(state .. "/" .. name) > 0 then return false end
  end
  return true
end

before_each(function() dir, mark = folder.new(), marked.new() end)
after_each(function()
  assert.is_true(mark:gone(20), "processes are left: " .. table.concat(mark:list(), " "))
  assert.is_true(is_clean(dir.path .. "/state"), "something is left in the state folder")
  dir:remove()
end)

describe("a machine on this computer #life", function()
  it("runs commands, with what is copied to it and from it", function()
    local lines = script [[
      local machine <close> = cloud.provision {}
      io.open("in.txt", "w"):write("hello\n"):close()
      local result = machine:run {
        image = "rtlua", command = { "sh", "-c", 'tr a-z A-Z <in.txt >"$1"; echo "$NAME"; rtlua --version', "sh",
          "/out/up.txt" }, env = { NAME = "x" }, upload = { ["in.txt"] = "in.txt" },
        on_log = function(line, stream) print(stream .. " " .. line) end,
      }
      print(result.code, result.signal, math.type(result.seconds))
      machine:copy_from("/out/up.txt", "out.txt")
      print(io.open("out.txt"):read "a")
      print(machine:status(), machine:ip(), machine.name:match "^rtlua%-%w+$" ~= nil)
      machine:destroy()
      print(failure(machine.run, machine, { command = { "true" } })) ]]
    assert.equal("stdout x", lines[1])
    assert.matches("^stdout rtlua %d", lines[2])
    while lines[3]:match "^stdout" do table.remove(lines, 3) end
    assert.equal("0\tnil\tfloat", lines[3])
    assert.equal("HELLO", lines[4])
    assert.equal("running\t127.0.0.1\ttrue", lines[5])
    assert.matches("^64 run rtlua%-%w+ is gone$", lines[6])
  end)
  it("says what failed, by stage", function()
    local lines = script [[
      local machine <close> = cloud.provision {}
      local function try(fields) print(failure(machine.run, machine, fields)) end
      try { command = { "sh", "-c", "echo first >&2; echo last >&2; exit 7" } }
      try { command = { "sh", "-c", "kill -9 $$" } }
      try { command = { "sleep", "100" }, timeout = 0.2 }
      try { command = { "rtlua-no-such-program" } }
      try { comand = { "true" } }
      try { command = { "true" }, on_log = 1 }
      try { command = { "true" }, image = "busybox" }
      try { command = { "true" }, upload = { ["no-such-file"] = "x" } }
      print(machine:run({ command = { "sh", "-c", "exit 7" }, check = false }).code)
      print(failure(machine.copy_from, machine, "/out/none", "x"))
      print(failure(machine.copy_to, machine, "script.lua", "/etc/x"))
      print(failure(machine.copy_to, machine, "script.lua", "../../x"))
      print(failure(machine.copy_from, machine, "/out/none"))
      print(failure(machine.engine, machine))
      print(failure(machine.compose, machine, { file = "no.yaml" }))
      print(failure(machine.logs, machine, print)) ]]
    for i, pattern in ipairs {
      "^69 run sh ended with 7: last$", "^69 run sh was ended by SIGKILL$", "^75 run sleep took longer than 0.2 s$",
      "^69 run rtlua%-no%-such%-program", "^64 run a command is expected$", "^64 run machine:run: field 'on_log' is "
        .. "expected to be a function$", "^64 run the driver local runs no other image than its own, not 'busybox'$",
      "^66 upload no%-such%-file: there is no such file or folder$", "^7$", "^66 download .*: there is no such file",
      "^64 upload /etc/x: is not in the machine's folder$", "^64 upload .*: is not in the machine's folder$",
      "^64 download two paths are expected", "^64 engine the driver local has no Docker Engine$", "^66 upload no.yaml",
      "^69 run nothing was started on rtlua%-%w+ whose output can be read$",
    } do assert.matches(pattern, lines[i]) end
  end)
  it("runs docker compose in the folder of its file, as far as that travels", function()
    lfs.mkdir(dir.path .. "/bin")
    lfs.mkdir(dir.path .. "/project")
    dir:write("bin/docker", '#!/bin/sh\necho "$@" NAME=$NAME; ls; test "$2" = version || echo done >/dev/stderr\n')
    os.execute("chmod +x " .. dir.path .. "/bin/docker")
    dir:write("project/my.yaml", "services: {}\n")
    dir:write("project/needed", "")
    dir:write("project/secret", "")
    dir:write("project/.dockerignore", "secret\n*.yaml\n")
    local lines = script([[
      local machine <close> = cloud.provision {}
      local result = machine:compose { file = "project/my.yaml", env = { NAME = "x" },
        on_log = function(line, stream) print(stream, line) end }
      print(result.code) ]], { env = { PATH = dir.path .. "/bin:" .. os.getenv "PATH" } })
    table.sort(lines)
    assert.same({ "0", "stderr\tdone", "stdout\tcompose --file my.yaml up --build NAME=x", "stdout\tmy.yaml",
      "stdout\tneeded" }, lines)
  end)
  it("renders what a direct render does, and shows how it goes", function()
    local lines = script [[
      local machine <close> = cloud.provision {}
      io.open("scene.lua", "w"):write("local rt = require 'rtlua'\n" ..
        "local p = rt.params { radius = 1 }\n" ..
        "return rt.scene { camera = rt.camera { from = {0,0,4}, to = {0,0,0}, fov = 40 }, background = 0.5,\n" ..
        "  render = { size = {16, 12}, spp = 2 }, rt.sphere { center = {0,0,0}, radius = p.radius } }\n"):close()
      local events = {}
      machine:render("scene.lua", { spp = 4, params = { radius = "0.5" }, output = { "a.png", "a.pfm" },
        on_event = function(event) events[#events + 1] = event.event end })
      print(table.concat(events, " "))
      machine:render "scene.lua"
      print(io.open "scene.png" ~= nil)
      print(failure(machine.render, machine, "scene.lua", { spp = 0 }))
      print(failure(machine.render, machine, "scene.lua", { sp = 1 }))
      print(failure(machine.render, machine, "scene.lua", { crop = { 0, 0, 99, 99 } }))
      print(failure(machine.render, machine, "scene.lua", { params = { diameter = "1" } })) ]]
    assert.matches("^start .*done written written$", lines[1])
    assert.equal("true", lines[2])
    assert.matches("^64 run render: spp", lines[3])
    assert.matches("^64 run render: unknown field 'sp' %(did you mean 'spp'%?%)$", lines[4])
    assert.matches("^64 run crop: expected x0 < x1 <= 16", lines[5])
    assert.matches("^64 nil .*the scene has no parameter of that name", lines[6])
    local direct = run.rtlua({ "render", "scene.lua", "--spp", "4", "-Dradius=0.5", "-o", "b.png", "-o", "b.pfm",
      "--quiet" }, { cwd = dir.path })
    assert.equal(0, direct.code, direct.stderr)
    assert.is_true(dir:read "a.png" == dir:read "b.png" and dir:read "a.pfm" == dir:read "b.pfm")
  end)
  it("ends with its scope, whatever ended that, and with it what runs there", function()
    script([[
      local machine <close> = cloud.provision {}
      machine:run { command = { "sh", "-c", "setsid sleep 100 & sleep 0.1" } }
      error("wrong", 0) ]], { code = 65, stderr = "rtlua: script.lua:?%d*:? ?wrong" })
  end)
  it("stays when it is kept, is found by its name, and let go of by who attached", function()
    local lines = script [[
      local machine <close> = cloud.provision { name = "render", ttl = "1h" }
      local expires = machine.expires
      print(machine:extend "30m" - expires)
      machine:keep() ]]
    assert.same({ "1800" }, lines)
    lines = script [[
      do
        local machine <close> = cloud.attach "render"
        print(machine:run({ command = { "true" } }).code)
      end
      print(failure(cloud.attach, "rendre"))
      local machine <close> = cloud.attach "render"
      machine:destroy() ]]
    assert.equal("0", lines[1])
    assert.matches("^64 check there is no machine 'rendre' %(did you mean 'render'%?%)$", lines[2])
  end)
  it("is destroyed before its time is over, and its work stopped before that", function()
    local _, stderr = script([[
      local machine <close> = cloud.provision { ttl = "4s" }
      machine:run { command = { "sleep", "100" } } ]], { code = 75 })
    assert.matches("rtlua: run: sleep was stopped, before the machine's end at .*: give a longer ttl, or a higher "
      .. "max_cost\n$", stderr)
  end)
  it("is refused with what is wrong, before anything is created", function()
    local lines = script [[
      for _, want in ipairs {
        { driver = "lokal" }, { size = "c-32" }, { region = "nyc3" }, { image = "ubuntu" }, { ttl = "soon" },
        { max_cost = -1 }, { name = "a b" }, { tll = "1h" }, { driver = "ssh" },
      } do print(failure(cloud.provision, want)) end
      print(failure(cloud.provision, { count = 2 }))
      local machine, plan = cloud.provision { dry_run = true }
      print(machine, plan.lines[1]) ]]
    for i, pattern in ipairs {
      "^64 check driver: .*'lokal' %(did you mean 'local'%?%)$", "^64 check unknown size 'c%-32'",
      "^64 check unknown region 'nyc3'", "^64 check unknown image 'ubuntu'", "^64 check ttl: expected a duration",
      "^64 check max_cost: expected a number above 0", "^64 check 'a b' cannot name a machine$",
      "^64 check unknown field 'tll' %(did you mean 'ttl'%?%)$", "^64 check the driver ssh has no host$",
      "^64 check one machine is provisioned$", "^nil\tlocal: nothing is billed; until .* %(8h, as no ttl was given%)$",
    } do assert.matches(pattern, lines[i]) end
  end)
end)

describe("a pool on this computer #life", function()
  it("works side by side, shares its work, and ends as one", function()
    local lines = script [[
      local system = require "rtlua.system"
      local pool <close> = cloud.pool { count = 3 }
      local begin = system.now()
      local results = pool:run { command = { "sleep", "0.6" } }
      print(#pool, #results, system.now() - begin < 1.5)
      print(table.concat(pool:map(function(machine, i) return i end), " "))
      local who = {}
      local squares = pool:share({ 1, 2, 3, 4, 5, 6, 7 }, function(machine, n)
        machine:run { command = { "sleep", "0.1" } }
        who[machine.name] = true
        return n * n
      end)
      local count = 0
      for _ in pairs(who) do count = count + 1 end
      print(table.concat(squares, " "), count)
      print(failure(pool.map, pool, function(machine, i)
        if i == 2 then machine:run { command = { "sh", "-c", "echo two >&2; exit 1" } } end
      end)) ]]
    assert.same({ "3\t3\ttrue", "1 2 3", "1 4 9 16 25 36 49\t3", "69 run sh ended with 1: two" }, lines)
  end)
end)

-- ---- Against the local cloud

local SIZES = { digitalocean = "c-32", ec2 = "c6i.xlarge" }
local KINDS = { "droplets", "instances", "keys", "groups" }

local function alive(double)
  local count = 0
  for _, kind in ipairs(KINDS) do
    for _ in pairs(double:alive()[kind] or {}) do count = count + 1 end
  end
  return count
end

for _, driver in ipairs { "digitalocean", "ec2" } do
  describe("a machine of " .. driver .. " #life", function()
    local WANT = ('{ driver = "%s", size = "%s", ready = "address", ttl = "1h", on_line = print }'):format(driver,
      SIZES[driver])

    local function env(double)
      local all = {}
      for name, value in pairs(double.env) do all[name] = value end
      all.RTLUA_STATE = nil
      return all
    end

    it("is planned by reading alone", function()
      local double <close> = cloud.start()
      local lines = script(("print(cloud.plan(%s).lines[1])"):format(WANT), { env = env(double) })
      assert.matches("^" .. driver .. " .*/h.*, at most %$.* until .* %(1h%)$", lines[1])
      assert.equal(0, double:most_alive())
    end)
    it("is made once, and be the answer to its create lost", function()
      local path = driver == "ec2" and "RunInstances" or "^/v2/droplets$"
      local match = driver == "ec2" and { kind = path } or { method = "POST", path = path }
      local skip = driver == "ec2" and 1 or 0 -- the first only asks whether it may
      local double <close> = cloud.start { faults = { { match = match, what = "lost-reply", skip = skip } } }
      local lines = script(([[
        local machine <close> = cloud.provision %s
        print(machine:status()) ]]):format(WANT), { env = env(double) })
      assert.equal("running", lines[1])
      assert.matches("^spent %$", lines[2])
      assert.equal(1, double:most_alive())
      assert.equal(0, alive(double))
      -- It may turn up twice for half an hour: a watcher stays, and goes then.
      assert.is_true(marked.within(function() return is_clean(dir.path .. "/state") end, 60))
    end)
    it("comes side by side in a pool, whose limits are for all", function()
      local double <close> = cloud.start()
      local want = WANT:gsub("}$", ", count = 4 }")
      local lines = script(([[
        do
          local pool <close> = cloud.pool %s
          print(#pool, pool[1].name ~= pool[2].name)
        end
        local want = %s
        want.on_line, want.max_price = nil, 0.05
        print(failure(cloud.plan, want)) ]]):format(want, want), { env = env(double) })
      assert.equal("4\ttrue", lines[1])
      assert.matches("^64 check 4 x .* costs .*, above the max_price of", lines[#lines])
      assert.equal(4, double:most_alive())
      assert.equal(0, alive(double))
    end)
  end)
end
