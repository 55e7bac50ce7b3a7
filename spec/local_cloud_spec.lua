-- The local cloud that other specs trust (spec/support/cloud): it answers as DigitalOcean's description says, breaks as
-- its script of faults says, and its ledger tells what happened.

local cjson = require "cjson"
local cloud = require "spec.support.cloud"
local http = require "rtlua.http"
local lfs = require "lfs"
local marked = require "spec.support.marked"
local openapi = require "spec.support.cloud.openapi"
local process = require "rtlua.process"
local socket = require "socket"
local system = require "rtlua.system"

local DESCRIPTION = "../shared/data/digitalocean-openapi.json"
local KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBh7V2IEM1f9TLJFEAlfeeEhRiPcVBsEOjR8w5LUiwzQ x"
local FINGERPRINT = "46:3f:fd:7c:0c:06:bd:eb:bb:9d:7a:7e:e3:52:57:02" -- ssh-keygen -E md5 -lf

-- Does it run? A zombie, which init has not come to yet, does not.
local function alive(pid)
  local file <close> = io.open(("/proc/%s/stat"):format(pid), "rb")
  local state = file and (file:read "a" or ""):match "^.*%) (%a)"
  return state ~= nil and state ~= "Z"
end

describe("the local cloud", function()
  local double, client

  before_each(function() client = http.new() end)
  after_each(function()
    client:close()
    if double then
      assert.equal("", double:complaints())
      double:close()
      double = nil
    end
  end)

  local function start(options) double = cloud.start(options) end

  -- Returns the status, the decoded body and the response; or nil, message, code.
  local function ask(method, path, body, token)
    local response, message, code = client:request {
      url = double.base .. path, method = method, body = body and cjson.encode(body), retry = { attempts = 1 },
      headers = { Authorization = "Bearer " .. (token or double.token), ["Content-Type"] = "application/json" },
    }
    if not response then return nil, message, code end
    return response.status, response.body ~= "" and cjson.decode(response.body) or nil, response
  end

  local function create(name, fields)
    local body = { name = name or "a", size = "c-2", region = "sfo3", image = "docker-20-04", tags = { "rtlua" } }
    for key, value in pairs(fields or {}) do body[key] = value end
    return ask("POST", "/v2/droplets", body)
  end
  local function id_of(answer) return ("%d"):format(answer.droplet.id) end
  local function becomes(id, wanted)
    return marked.within(function()
      local status, answer = ask("GET", "/v2/droplets/" .. id)
      return status == 404 and wanted == "gone" or answer.droplet and answer.droplet.status == wanted
    end, 5)
  end

  it("starts in no time, and ends with its scope", function()
    local begin = system.now()
    start()
    assert.is_true(system.now() - begin < 0.5)
    local path, pid = double.folder, double.child.pid
    double:close()
    double = nil
    assert.is_nil(lfs.attributes(path))
    assert.is_false(alive(pid))
  end)

  it("ends when the spec that started it is killed", function()
    local script = [[
      local double = require("spec.support.cloud").start()
      print(double.child.pid, double.folder)
      io.flush()
      require("socket").sleep(100)]]
    local child <close> = process.start { "lua5.4", "-e", script, stdout = true,
      env = { LUA_PATH = package.path, LUA_CPATH = package.cpath } }
    local pid, path = child:read("stdout", 10):match "(%d+)%s+(%S+)"
    assert.is_true(alive(pid))
    os.execute("kill -KILL " .. child.pid)
    assert.is_true(marked.within(function() return not alive(pid) end, 10))
    process.run { "rm", "-r", path }
  end)

  describe("as DigitalOcean", function()
    it("answers as the description says", function()
      local description = openapi.load(DESCRIPTION)
      if not description then return pending "../shared is missing" end
      start()
      local function described(method, path, body, status)
        local got, answer, response = ask(method, path, body)
        assert.equal(status, got, path)
        local plain = path:gsub("%?.*", "")
        assert.same({}, description:problems(method, plain, got, response.body, response.headers), plain)
        return answer
      end
      for path in ("account account/keys sizes regions images tags droplets actions"):gmatch "%S+" do
        described("GET", "/v2/" .. path, nil, 200)
      end
      described("GET", "/v2/sizes?page=2", nil, 200)
      local key = described("POST", "/v2/account/keys", { name = "k", public_key = KEY }, 201)
      assert.equal(FINGERPRINT, key.ssh_key.fingerprint)
      described("GET", "/v2/account/keys/" .. FINGERPRINT, nil, 200)
      local answer = create("a", { ssh_keys = { FINGERPRINT } })
      assert.equal(202, answer)
      local made = described("POST", "/v2/droplets", { name = "b", size = "c-2", region = "sfo3", tags = { "t:1" },
        image = "ubuntu-22-04-x64", ssh_keys = { FINGERPRINT } }, 202)
      local action = made.links.actions[1]
      described("GET", ("/v2/actions/%d"):format(action.id), nil, 200)
      assert.is_true(becomes(id_of(made), "active"))
      local droplet = "/v2/droplets/" .. id_of(made)
      described("GET", droplet, nil, 200)
      described("GET", droplet .. "/actions", nil, 200)
      described("POST", droplet .. "/actions", { type = "snapshot", name = "s" }, 201)
      described("DELETE", droplet, nil, 422)
      assert.is_true(marked.within(function() return #double:alive().images == 1 end, 5))
      described("GET", "/v2/images?private=true", nil, 200)
      described("GET", "/v2/tags/t:1", nil, 200)
      local resources = { resources = { { resource_id = id_of(made), resource_type = "droplet" } } }
      described("POST", "/v2/tags", { name = "u" }, 201)
      described("POST", "/v2/tags/u/resources", resources, 204)
      described("DELETE", "/v2/tags/t:1/resources", resources, 204)
      described("DELETE", "/v2/tags/t:1", nil, 204)
      described("DELETE", "/v2/droplets?tag_name=u", nil, 204)
      described("GET", "/v2/droplets/1", nil, 404)
      described("DELETE", "/v2/account/keys/" .. FINGERPRINT, nil, 204)
    end)

    it("gives lists in pages, and a client that follows them all of it", function()
      start()
      local seen, path = 0, "/v2/sizes?per_page=7"
      while path do
        local _, answer = ask("GET", path)
        seen = seen + #answer.sizes
        path = (answer.links.pages or {}).next
        path = path and path:sub(#double.base + 1)
      end
      local _, all = ask("GET", "/v2/sizes?per_page=200")
      assert.same({ #all.sizes, all.meta.total, nil }, { seen, seen, all.links.pages })
      assert.is_true(seen > 20)
    end)

    it("knows its tokens", function()
      start()
      assert.equal(401, (ask("GET", "/v2/account", nil, "wrong")))
      assert.equal(200, (ask("GET", "/v2/droplets", nil, double.read_token)))
      local status, answer = ask("POST", "/v2/tags", { name = "a" }, double.read_token)
      assert.same({ 403, "forbidden" }, { status, answer.id })
      assert.equal("string", type(answer.request_id))
    end)

    it("refuses what it does not know", function()
      start()
      for _, wrong in ipairs { { name = "a_b" }, { name = "-a" }, { size = "c-3" }, { region = "mars1" },
        { image = "beos" }, { ssh_keys = { "00:11" } }, { tags = { "a b" } }, { size = "c-60-retired" } } do
        local status, answer = create("a", wrong)
        assert.same({ 422, "unprocessable_entity" }, { status, answer.id }, cjson.encode(wrong))
      end
      assert.same({}, double:alive().droplets)
    end)

    it("has droplets that boot, are busy, and go", function()
      start { pace = 0.02 }
      local _, answer = create("a")
      local id = id_of(answer)
      assert.same({ "new", 0 }, { answer.droplet.status, #answer.droplet.networks.v4 })
      assert.equal(422, (ask("DELETE", "/v2/droplets/" .. id)))
      assert.is_true(becomes(id, "active"))
      local _, booted = ask("GET", "/v2/droplets?name=A")
      assert.equal(2, #booted.droplets[1].networks.v4)
      assert.equal(201, (ask("POST", "/v2/droplets/" .. id .. "/actions", { type = "power_off" })))
      assert.is_true(becomes(id, "off"))
      assert.equal(204, (ask("DELETE", "/v2/droplets/" .. id)))
      assert.is_true(becomes(id, "gone"))
      assert.equal(1, double:most_alive())
    end)

    it("has limits: of droplets, and of reading keys", function()
      start { limits = { droplets = 1, keys = 2 }, pace = 0.1 }
      assert.equal(202, (create "a"))
      local status, answer = create "b"
      assert.equal(422, status)
      assert.matches("droplet limit", answer.message)
      for _ = 1, 2 do assert.equal(200, (ask("GET", "/v2/account/keys"))) end
      local late, _, response = ask("GET", "/v2/account/keys")
      assert.equal(429, late)
      assert.truthy(tonumber(response.headers["retry-after"]))
    end)
  end)

  it("serves others while one waits", function()
    start { faults = { { match = { path = "^/v2/regions$" }, what = "slow", seconds = 100 } } }
    local begin = system.now()
    local transfer <close> = client:start { url = double.base .. "/v2/regions" }
    local other <close> = http.new()
    other:request { url = double.base .. "/v2/sizes" }
    assert.is_true(system.now() - begin < 0.9)
    assert.is_falsy(transfer:done())
  end)

  describe("breaks as its script says:", function()
    it("a status at a call, so many times", function()
      start { faults = { { at = 2, what = "503" }, { match = { method = "DELETE" }, what = "422", times = 2 } } }
      local id = double:put { kind = "droplet", name = "old", tags = { "rtlua" } }
      assert.is_true(marked.within(function() return double:alive().droplets[1].state == "running" end, 5))
      local statuses = {}
      for i = 1, 3 do statuses[i] = ask("GET", "/v2/account") end
      for i = 1, 3 do statuses[3 + i] = ask("DELETE", "/v2/droplets/" .. id) end
      assert.same({ 200, 503, 200, 422, 422, 204 }, statuses)
    end)

    it("a reply that is lost, its effect at once or later", function()
      start()
      for i, what in ipairs { "lost-reply", "late-create", "drop" } do
        double:fault { match = { method = "POST" }, what = what, seconds = 30 }
        assert.is_nil((create("a" .. i)))
        assert.equal(({ 1, 1, 2 })[i], #double:alive().droplets)
        if what == "late-create" then
          assert.is_true(marked.within(function() return #double:alive().droplets == 2 end, 5))
        end
      end
    end)

    it("lists that lag, and a clock that is off", function()
      start { faults = { { match = { kind = "^GET /v2/droplets$" }, what = "lag", seconds = 1000, always = true } } }
      create "a"
      local _, answer = ask("GET", "/v2/droplets")
      assert.equal(0, #answer.droplets)
      double:fault { what = "skew", seconds = -86400 }
      ask("GET", "/v2/account")
      local _, _, response = ask("GET", "/v2/account")
      assert.equal(os.date("!%d", math.floor(system.time()) - 86400), response.headers.date:match "%d+")
    end)

    it("machines without an address, that never boot, that die", function()
      start()
      local states = {}
      for _, what in ipairs { "no-address", "never-boots", "dies" } do
        double:fault { what = what, seconds = 1 }
        local _, answer = create(what)
        states[what] = id_of(answer)
      end
      assert.is_true(becomes(states.dies, "off"))
      local _, answer = ask("GET", "/v2/droplets/" .. states["no-address"])
      assert.same({ "active", 0 }, { answer.droplet.status, #answer.droplet.networks.v4 })
      assert.is_true(becomes(states["never-boots"], "new"))
      assert.is_true(marked.within(function() -- and can be got rid of
        return ask("DELETE", "/v2/droplets/" .. states["never-boots"]) == 204
      end, 5))
    end)

    it("SIGKILL before, after and behind the reply, of a process and all of its descendants", function()
      start()
      for i, when in ipairs { "before", "after", "replied" } do
        local child <close> = process.start { "sh", "-c", "setsid sleep 100 & echo $!; wait" }
        local sleeper = tonumber(child:read("stdout", 10))
        double:fault { match = { method = "POST" }, what = "kill", when = when, pid = child.pid, tree = true }
        local status = create("a" .. i)
        assert.equal(when == "replied" and 202 or nil, status)
        assert.equal("KILL", child:wait(5).signal)
        assert.is_true(marked.within(function() return not alive(sleeper) end, 5))
      end
      local counts = {}
      for _, event in ipairs(double:ledger()) do
        if event.event == "fault" then counts[#counts + 1] = event.alive end
      end
      assert.same({ 0, 1, 2 }, counts)
    end)

    it("SIGKILL of whoever has a text in its environment, found at that time", function()
      start()
      double:fault { what = "kill", when = "replied", env = "RTLUA_STATE=" .. double.env.RTLUA_STATE }
      local child <close> = process.start { "sleep", "100", env = double.env }
      ask("GET", "/v2/account")
      assert.equal("KILL", child:wait(5).signal)
    end)
  end)

  describe("keeps a ledger", function()
    it("of every call, in order", function()
      start()
      ask("GET", "/v2/account")
      double:fault { at = 2, what = "lost-reply" }
      client:close() -- curl repeats what is lost on a connection that it has used before
      client = http.new()
      create "a"
      ask("GET", "/v2/droplets/12")
      local calls = {}
      for i, call in ipairs(double:calls()) do calls[i] = ("%d %s %d"):format(call.call, call.kind, call.status) end
      assert.same({ "1 GET /v2/account 200", "2 POST /v2/droplets 202", "3 GET /v2/droplets/ID 404" }, calls)
    end)

    it("of what came and went, which no environment names", function()
      start()
      local first, second = double:put { kind = "droplet", name = "a" }, double:put { kind = "droplet", name = "b" }
      double:fail(first, "gone")
      assert.is_true(marked.within(function() return #double:alive().droplets == 1 end, 5))
      double:put { kind = "droplet", name = "c" }
      assert.equal(2, double:most_alive())
      local came = {}
      for _, event in ipairs(double:ledger()) do
        if event.event == "created" or event.event == "destroyed" then came[#came + 1] = event.event .. event.name end
      end
      assert.same({ "createda", "createdb", "destroyeda", "createdc" }, came)
      assert.equal(second, double:alive().droplets[1].id)
      for _, value in pairs(double.env) do assert.is_nil(value:find("ledger", 1, true)) end
    end)
  end)

  it("keeps a connection, and takes requests in pieces", function()
    start()
    local connection = assert(socket.connect("127.0.0.1", double.port))
    connection:settimeout(5)
    local request = "GET /v2/account HTTP/1.1\r\nAuthorization: Bearer " .. double.token .. "\r\n\r\n"
    connection:send(request:sub(1, 30))
    socket.sleep(0.05)
    connection:send(request:sub(31) .. request)
    for _ = 1, 2 do
      assert.equal("HTTP/1.1 200 OK", (connection:receive "*l"))
      local length
      repeat
        local line = connection:receive "*l"
        length = line:match "^Content%-Length: (%d+)" or length
      until line == ""
      assert.equal(tonumber(length), #connection:receive(tonumber(length)))
    end
    connection:close()
  end)
end)
