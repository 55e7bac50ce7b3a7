-- `rtlua machine` as its user meets it: what each verb prints, how it fails, and that a failure loses no machine.

local cjson = require "cjson"
local cloud = require "spec.support.cloud"
local marked = require "spec.support.marked"
local process = require "rtlua.process"
local run = require "spec.support.run"
local system = require "rtlua.system"

local WRONG = "dop_v1_" .. ("0"):rep(64)
local PLACE = { "--driver", "digitalocean", "--size", "c-2", "--region", "sfo3", "--ready", "address" }

describe("rtlua machine #life", function()
  local double

  before_each(function() double = cloud.start() end)
  after_each(function()
    if double then double:close() end
    double = nil
  end)

  local function machine(words, env)
    local all = { HOME = double.folder }
    for _, from in ipairs { double.env, env or {} } do
      for name, value in pairs(from) do all[name] = value end
    end
    return run.rtlua({ "machine", table.unpack(words) }, { env = all })
  end
  local function create(name, more, env)
    local words = { "create", name, table.unpack(PLACE) }
    return machine(table.move(more or {}, 1, #(more or {}), #words + 1, words), env)
  end
  local function works(words, env)
    local result = machine(words, env)
    assert.same({ 0 }, { result.code }, result.stderr)
    return result.stdout, result.stderr
  end
  local function object(words, env)
    local text = works(words, env)
    local answer = cjson.decode(text)
    assert.equal(1, answer.schema)
    assert.is_nil(text:find("e%+?08"))
    return answer, text
  end
  local function fails(code, text, result)
    assert.equal(code, result.code, result.stderr)
    assert.matches("^rtlua: [^\n]+\n$", result.stderr)
    assert.matches(text, result.stderr, 1, true)
    assert.equal("", result.stdout)
  end
  local function rewrite(how) -- the journal's entry
    process.run { "sh", "-c", 'sed -i "$2" "$1"/journal/box-*.json', "sh", double.env.RTLUA_STATE, how, check = true }
  end
  local function only_reads()
    for _, call in ipairs(double:calls()) do assert.equal("GET", call.method) end
  end

  it("says what it does not know, with near names", function()
    fails(64, "did you mean 'rm'?", machine { "rn" })
    fails(64, "did you mean '--json'?", machine { "ls", "--jsn" })
    fails(64, "unexpected argument 'x'", machine { "ls", "x" })
    fails(64, "there is no machine 'bx'", machine { "rm", "bx" })
    fails(64, "missing argument 'NAME'", machine { "ssh" })
    fails(64, "one of the two is NAME:PATH", machine { "scp", "a", "b" })
    fails(64, "which machine?", machine { "env" })
    fails(64, "no machine is active", machine { "active" })
    fails(64, "expected a duration", machine { "cost", "--since", "banana" })
    fails(64, "did you mean 'sfo3'?", machine { "sizes", "--driver", "digitalocean", "--region", "sfo33" })
    assert.matches("Usage: rtlua machine VERB", works { "--help" }, 1, true)
    assert.matches("%-%-ttl", (works { "create", "--help" }))
  end)

  it("has lists that are lists when they are empty", function()
    assert.equal('{"machines":[],"problems":[],"schema":1}\n', (works { "ls", "--json" }))
    assert.equal('{"machines":[],"schema":1,"total":0}\n', (works { "cost", "--json" }))
    assert.equal('{"images":[],"schema":1}\n', (works { "images", "--json" }))
    assert.equal('{"finished":[],"lines":[],"remains":false,"schema":1}\n',
      (works { "reap", "--driver", "digitalocean", "--json" }))
  end)

  it("refuses what cannot be before anything is created", function()
    fails(64, "'Bad_name'", create "Bad_name")
    fails(64, "did you mean 'c-2'?", create("x", { "--size", "c-3" }))
    fails(64, "did you mean 'sfo3'?", create("x", { "--region", "sfo33" }))
    fails(64, "above the max_cost of $0.001", create("x", { "--max-cost", "0.001" }))
    fails(64, "set DIGITALOCEAN_ACCESS_TOKEN", create("x", {}, { DIGITALOCEAN_ACCESS_TOKEN = "" }))
    fails(69, "401", create("x", {}, { DIGITALOCEAN_ACCESS_TOKEN = WRONG }))
    only_reads()
  end)

  it("plans without creating", function()
    local result = create("x", { "--dry-run" })
    assert.equal(0, result.code)
    assert.matches("at most $0.50 until", result.stderr, 1, true)
    local plan = cjson.decode(create("x", { "--dry-run", "--json" }).stdout)
    assert.same({ 1, "c-2", "sfo3", 28800 }, { plan.schema, plan.size, plan.region, plan.ttl })
    assert.is_true(math.abs(plan.most - 0.5) < 1e-6)
    only_reads()
    assert.equal("", (works { "ls" }))
  end)

  it("leads a machine through its life", function()
    assert.matches("^box%-%w+\n$", create("box").stdout)
    fails(64, "there is a machine 'box' already", create "box")
    local listed = object { "ls", "--json" }.machines[1]
    local id = ("%d"):format(double:alive().droplets[1].id)
    assert.same({ "box", id, "ready", "c-2" }, { listed.name, listed.id, listed.state, listed.size })
    assert.equal("box\n", (works { "ls", "-q" }))
    assert.equal(id, object({ "inspect", "box" }).id)
    assert.equal("running\n", (works { "status", "box" }))
    assert.equal(listed.address .. "\n", (works { "ip", "box" }))
    local extended = object { "extend", "box", "30m", "--json" }
    assert.equal(listed.expires + 1800, extended.expires)
    fails(64, "expected a duration", machine { "extend", "box", "soon" })
    local _, note = works { "stop", "box" }
    assert.matches("is off and still costs $0.0625/h", note, 1, true)
    assert.equal("off", object({ "status", "box", "--json" }).state)
    for _, verb in ipairs { "start", "restart", "kill" } do works { verb, "box" } end
    works { "rm", "-f", "box" }
    assert.same({}, double:alive().droplets)
    assert.same({}, double:alive().keys)
    local spent = object { "cost", "--json" }
    assert.same({ 1, id, 0.01 }, { #spent.machines, spent.machines[1].id, spent.total })
    assert.equal("", double:complaints())
  end)

  it("destroys the others when one cannot be, and forgets nothing", function()
    create "a"
    create "b"
    local kept = object({ "ls", "--json" }).machines[1].id
    double:fault { match = { method = "DELETE", path = "droplets/" .. kept .. "$" }, what = "403", always = true }
    local result = machine { "rm", "a", "b", "a" }
    assert.equal(76, result.code)
    assert.matches("rtlua: destroy: a%-%w+ %(droplet %d+%) may be left", result.stderr)
    local alive = double:alive().droplets
    assert.same({ 1, kept }, { #alive, ("%d"):format(alive[1].id) })
    assert.equal("a\n", machine({ "ls", "-q" }).stdout)
    double:clear_faults()
    assert.is_true(marked.within(function()
      machine { "rm", "a" }
      return #double:alive().droplets == 0 and #double:alive().keys == 0
    end, 10))
  end)

  it("keeps a machine that it has no credentials for, and says that it may be left", function()
    create "a"
    for _, token in ipairs { "", WRONG } do
      fails(76, "may be left", machine({ "rm", "a" }, { DIGITALOCEAN_ACCESS_TOKEN = token }))
      assert.equal("a\n", (works { "ls", "-q" }))
      assert.equal(1, #double:alive().droplets)
    end
    works { "rm", "a" }
    assert.same({}, double:alive().droplets)
  end)

  it("says what is wrong in the journal, and exits 76", function()
    create "a"
    process.run { "sh", "-c", 'echo "{" >"$1/journal/broken.json"', "sh", double.env.RTLUA_STATE, check = true }
    local result = machine { "ls", "--json" }
    assert.equal(76, result.code)
    local answer = cjson.decode(result.stdout)
    assert.same({ 1, 1 }, { #answer.machines, #answer.problems })
    assert.matches("^[^\n]*broken[^\n]*\n$", result.stderr)
    process.run { "rm", double.env.RTLUA_STATE .. "/journal/broken.json", check = true }
    works { "rm", "a" }
  end)

  it("reaps what is past its end, whoever made it, and says so before with --dry-run", function()
    local marks = { "rtlua", "rtlua:run-aaaaaaaaaa", "rtlua:exp-1000" }
    double:put { kind = "droplet", name = "old-aaaaaaaaaa", tags = marks }
    double:put { kind = "droplet", name = "new-bbbbbbbbbb",
      tags = { "rtlua", "rtlua:run-bbbbbbbbbb", "rtlua:exp-4000000000" } }
    double:put { kind = "droplet", name = "another", tags = {} }
    double:set { skew = -3600 }
    local reap = { "reap", "--driver", "digitalocean" }
    assert.matches("^old%-aaaaaaaaaa %(%d+%) would be destroyed[^\n]+\n$", (works { "reap", "--driver", "digitalocean",
      "--dry-run" }))
    only_reads()
    fails(69, "401", machine(reap, { DIGITALOCEAN_ACCESS_TOKEN = WRONG }))
    assert.equal(3, #double:alive().droplets)
    assert.matches("^old%-aaaaaaaaaa %(%d+%) was destroyed", (works(reap)))
    assert.equal(2, #double:alive().droplets)
  end)

  it("does not say that all is well where credentials do not work", function()
    local result = machine({ "reap" }, { DIGITALOCEAN_ACCESS_TOKEN = WRONG })
    assert.equal(69, result.code)
  end)

  it("prints sizes and regions, cheapest for a vCPU first", function()
    local sizes = object { "sizes", "--driver", "digitalocean", "--sort", "vcpu", "--json" }.sizes
    local last = 0
    for _, size in ipairs(sizes) do
      local price = size.price_hour / size.vcpus
      assert.is_true(price >= last)
      last = price
    end
    local text = works { "sizes", "--driver", "digitalocean" }
    assert.matches("^SLUG +MEMORY MiB +VCPUS +DISK GB", text)
    assert.matches("\nc%-32 +65536 +32 +400 +%$672.00 +%$1.00 +%$0.03125\n", text)
    assert.is_true(#object({ "regions", "--driver", "digitalocean", "--json" }).regions > 5)
    assert.equal("docker-20-04", (works { "images", "--driver", "digitalocean" }):match "docker%-20%-04")
  end)

  it("answers in JSON, whichever verb it is", function()
    create "box"
    local name = object { "ls", "--json" }.machines[1].machine
    for verb, state in ("stop off start running restart running kill off"):gmatch "(%a+) (%a+)" do
      assert.same({ { machine = name, state = state } }, object({ verb, "box", "--json" }).machines, verb)
    end
    assert.same({ schema = 1, machine = name, address = "192.0.2.1" }, (object { "ip", "box", "--json" }))
    assert.equal(name, object({ "inspect", "box", "--json" }).machine)
    assert.same({ "DOCKER_HOST", "RTLUA_MACHINE_NAME" }, object({ "env", "--unset", "--json" }).unset)
    local gone = object({ "rm", "box", "--json" }).machines
    assert.same({ { machine = name, state = "gone", cost = 0.01 } }, gone)
    for _, verb in ipairs { "create", "ls", "active", "url", "config", "ssh", "scp", "logs", "extend", "cost", "sizes",
      "regions", "images", "bake", "reap", "status" } do
      assert.matches("%-%-json", (works { verb, "--help" }), verb)
    end
  end)

  it("lists what providers say: one that is off, one of another account, one without an answer", function()
    create "box"
    works { "stop", "box" }
    local function line(env) return machine({ "ls" }, env).stdout:match "\n([^\n]*)\n$" end
    assert.matches("^box +%- +digitalocean +off +192", line())
    local result = machine({ "ls" }, { DIGITALOCEAN_ACCESS_TOKEN = WRONG })
    assert.matches("\nbox +%- +digitalocean +unknown +192", result.stdout)
    assert.matches("^box%-%w+: check: [^\n]*401[^\n]*\n$", result.stderr)
    double:fault { match = { path = "^/v2/account$" }, what = "slow", seconds = 1000 }
    local begin = system.now()
    assert.matches("^box +%- +digitalocean +unknown ", line())
    assert.is_true(system.now() - begin < 5)
    double:clear_faults()
    local account = object({ "inspect", "box" }).account
    rewrite(("s/%s/other/"):format(account))
    assert.matches("^box +%- +digitalocean +another account's +192", line())
    assert.equal("foreign", object({ "ls", "--json" }).machines[1].status)
    fails(76, "another account", machine { "rm", "box" })
    assert.equal(1, #double:alive().droplets)
    rewrite(('s/"account":"other"/"account":"%s"/'):format(account))
    works { "rm", "box" }
  end)

  it("notes an address that is another one after a start", function()
    create "box"
    rewrite "s/192.0.2.1/192.0.2.99/"
    assert.equal("192.0.2.99\n", (works { "ip", "box" }))
    works { "restart", "box" }
    assert.equal("192.0.2.1\n", (works { "ip", "box" }))
    works { "rm", "box" }
  end)

  it("has names that tell two of one label apart", function()
    local script = [[require("rtlua.cloud").provision { name = "twin", kind = "time" }:detach()]]
    for _ = 1, 2 do
      local result = run.program("lua5.4", { "-e", script },
        { env = { LUA_PATH = package.path, LUA_CPATH = package.cpath, RTLUA_STATE = double.env.RTLUA_STATE } })
      assert.equal(0, result.code, result.stderr)
    end
    local first, second = works({ "ls", "-q" }):match "^(twin%-%w+)\n(twin%-%w+)\n$"
    fails(64, "there are 2 machines 'twin'", machine { "rm", "twin" })
    works { "rm", first, second }
    assert.equal("", (works { "ls" }))
  end)

  it("has no complaint of what rm has removed after all", function()
    create("box", {}, { RTLUA_PACE = "1" }) -- its watcher tries again in seconds
    double:fault { match = { method = "DELETE" }, what = "403", always = true }
    assert.equal(76, machine({ "rm", "box" }).code)
    local journal = double.env.RTLUA_STATE .. "/journal/"
    assert.is_true(marked.within(function() -- its watcher has failed, too
      local read = process.run { "sh", "-c", 'cat "$1"*.json', "sh", journal }
      return read ~= nil and read.stdout:find '"trouble"' ~= nil
    end, 10))
    double:clear_faults()
    works { "rm", "box" }
    assert.same({}, double:alive().droplets)
  end)

  it("takes back what env sets, in each shell's words", function()
    assert.equal("unset DOCKER_HOST\nunset RTLUA_MACHINE_NAME\n", (works { "env", "--unset" }))
    assert.matches("^set %-e DOCKER_HOST;\n", (works { "env", "--unset", "--shell", "fish" }))
    assert.matches("^unsetenv DOCKER_HOST;\n", (works { "env", "--unset", "--shell", "csh" }))
  end)

  it("is interrupted at each stage, and leaves nothing", function()
    for i, stage in ipairs {
      { "GET", "^/v2/account$" }, { "POST", "^/v2/account/keys$" }, { "POST", "^/v2/droplets$" },
      { "GET", "^/v2/droplets/%d+$" },
    } do
      double:fault { match = { method = stage[1], path = stage[2] }, what = "slow", seconds = 100 }
      local result = run.rtlua({ "machine", "create", "box" .. i, table.unpack(PLACE) },
        { env = double.env, signal = "INT", after = 0.5 })
      assert.equal(130, result.code, stage[2])
      double:clear_faults()
    end
    local begin = system.now()
    assert.is_true(marked.within(function()
      local alive = double:alive()
      return system.now() - begin > 2 and #alive.droplets == 0 and #alive.keys == 0 -- what was slow is over
    end, 20))
    local created = 0
    for _, event in ipairs(double:ledger()) do created = created + (event.event == "created" and 1 or 0) end
    assert.is_true(created > 0)
  end)
end)

describe("rtlua machine on this computer", function()
  it("creates, runs, copies and destroys", function()
    local folder <close> = require("spec.support.folder").new()
    local env = { RTLUA_STATE = folder.path .. "/state", XDG_RUNTIME_DIR = "", HOME = folder.path }
    local function machine(words, stdin)
      return run.rtlua({ "machine", table.unpack(words) }, { env = env, stdin = stdin })
    end
    assert.matches("^l%-%w+\n$", machine({ "create", "l" }).stdout)
    assert.same({ code = 3, stdout = "a  'b\n", stderr = "" },
      machine { "ssh", "l", "sh", "-c", 'echo "$1"; exit 3', "sh", "a  'b" })
    assert.equal("5\n", machine({ "ssh", "l", "--", "echo $((2 + 3))" }).stdout)
    local answer = cjson.decode(machine({ "ssh", "--json", "l", "sh", "-c", "echo a; echo b >&2; exit 4" }).stdout)
    assert.same({ 1, 4, "a\n", "b\n" }, { answer.schema, answer.code, answer.stdout, answer.stderr })
    assert.equal("x\0y", machine({ "ssh", "l", "cat" }, "x\0y").stdout)
    folder:write("there", "text")
    assert.equal(0, machine({ "scp", folder.path .. "/there", "l:sub/file" }).code)
    assert.equal(0, machine({ "scp", "l:sub/file", folder.path .. "/back" }).code)
    assert.equal("text", folder:read "back")
    assert.equal(0, machine({ "scp", "-r", "l:sub", folder.path .. "/tree" }).code)
    assert.equal("text", folder:read "tree/file")
    assert.equal(0, machine({ "scp", "-r", "l:.", folder.path .. "/all" }).code)
    assert.equal("sub\n", process.run({ "ls", "-A", folder.path .. "/all" }).stdout)
    assert.equal(66, machine({ "scp", "l:none", folder.path .. "/back" }).code)
    assert.equal(66, machine({ "scp", folder.path .. "/none", "l:" }).code)
    for _, verb in ipairs { "env", "url", "config", "bake", "stop" } do
      local result = machine { verb, "l" }
      assert.same({ 64, "" }, { result.code, result.stdout }, verb)
      assert.matches("^rtlua: [^\n]+\n$", result.stderr)
    end
    assert.equal(69, machine({ "logs", "l" }).code)
    assert.equal(0, machine({ "rm", "l" }).code)
    assert.equal('{"machines":[],"problems":[],"schema":1}\n', machine({ "ls", "--json" }).stdout)
  end)
end)

describe("rtlua machine with a Docker Engine #real", function()
  it("points the docker command at a machine, and takes that back", function()
    local dockerd = require "spec.support.dockerd"
    local missing = dockerd.missing()
    if missing then return pending(missing) end
    local server <close> = dockerd.start()
    local folder <close> = require("spec.support.folder").new()
    local env = { RTLUA_STATE = folder.path .. "/state", DOCKER_HOST = "unix://" .. server.socket, HOME = folder.path }
    local function machine(...) return run.rtlua({ "machine", ... }, { env = env }) end
    local name = machine("create", "k", "--driver", "docker", "--image", "busybox:spec").stdout:match "^(k%-%w+)\n$"
    assert.equal(([[export DOCKER_HOST='unix://%s'
export RTLUA_MACHINE_NAME='%s'
# run: eval "$(rtlua machine env k)"
]]):format(server.socket, name), machine("env", "k").stdout)
    assert.equal(("-H unix://%s\n"):format(server.socket), machine("config", "k").stdout)
    assert.equal(64, machine("active").code)
    for _, form in ipairs { 'eval "$(./rtlua machine env k)"', "eval $(./rtlua machine env k)" } do
      local result = run.program("sh", { "-c", form .. "\n" .. [[
        ./rtlua machine active; echo "$RTLUA_MACHINE_NAME"
        eval "$(./rtlua machine env --unset)"; echo "${DOCKER_HOST-none}"]] }, { env = env })
      assert.equal(("k\n%s\nnone\n"):format(name), result.stdout, result.stderr)
    end
    assert.same({ code = 3, stdout = "hi\n", stderr = "" }, machine("ssh", "k", "echo hi; exit 3"))
    assert.equal(0, machine("rm", "k").code)
    assert.equal("", machine("ls").stdout)
  end)
end)
