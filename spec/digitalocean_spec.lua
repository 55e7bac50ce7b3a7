-- The driver for DigitalOcean against the local one: the life of a droplet, and all answers but the wanted one.

local cloud = require "spec.support.cloud"
local digitalocean = require "rtlua.drivers.digitalocean"
local loop = require "rtlua.loop"
local support = require "spec.support.driver"
local system = require "rtlua.system"

local FINGERPRINT = "89:0b:00:0f:f9:10:fa:05:b4:39:51:67:fe:83:41:c6"

local environment, double

-- ---- A stage

local function start(options)
  options = options or {}
  options.pace = support.PACE
  double = cloud.start(options)
  for name, value in pairs(double.env) do environment[name] = value end
  return double
end

local function open(config) return digitalocean.open(config) end

local function new_lease(driver, fields)
  local all = { driver = "digitalocean", region = "nyc3", size = "s-1vcpu-1gb", image = "ubuntu-24-04-x64" }
  for key, value in pairs(fields or {}) do all[key] = value end
  return support.lease(driver:check(), all)
end

local function failure(f, ...) return support.failure(environment.DIGITALOCEAN_ACCESS_TOKEN, f, ...) end

local function ids(list)
  local found = {}
  for i, element in ipairs(list) do found[i] = math.tointeger(element.id) or element.id end
  table.sort(found)
  return found
end

local function names(list)
  local found = {}
  for i, element in ipairs(list) do found[i] = element.name end
  table.sort(found)
  return found
end

-- Nothing but the tag that all machines share.
local function assert_clean()
  local alive = double:alive()
  assert.same({}, names(alive.droplets))
  assert.same({}, names(alive.keys))
  for _, tag in ipairs(alive.tags) do assert.equal("rtlua", tag.name) end
end

local function count(method, path)
  local n = 0
  for _, call in ipairs(double:calls()) do
    if call.method == method and call.path:find(path) then n = n + 1 end
  end
  return n
end

local function match(method, path) return { method = method, path = path } end

describe("rtlua.drivers.digitalocean #life", function()
  before_each(function() environment = support.replace_environment {} end)
  after_each(function()
    support.restore()
    local complaints = ""
    if double then
      complaints = double:complaints()
      double:close()
      double = nil
    end
    assert.equal("", complaints)
  end)

  describe("asks", function()
    it("who it is, and what time it is there", function()
      start { skew = 500 }
      local driver <close> = open()
      local checked = driver:check()
      assert.equal(double.base, checked.endpoint)
      assert.equal("string", type(checked.account))
      assert.is_true(math.abs(checked.now - system.time() - 500) < 2)
    end)
    it("what there is, over all pages, with prices", function()
      start()
      local driver <close> = open()
      driver.api.per_page = 7
      local sizes = driver:sizes()
      assert.is_true(#sizes > 20)
      for _, size in ipairs(sizes) do
        if size.slug == "c-32" then assert.same({ 32, 65536, 400, 672 },
          { size.vcpus, size.memory, size.disk, size.price_month }) end
      end
      assert.is_true(count("GET", "^/v2/sizes") > 3)
      assert.is_true(#driver:regions() > 5 and #driver:images() > 5)
    end)
    it("for what is wanted, and prices it", function()
      start()
      local driver <close> = open()
      local found = driver:validate { size = "c-32", region = "sfo3", name = "render" }
      assert.same({ "c-32", "sfo3", "ubuntu-24-04-x64", 0 },
        { found.size.slug, found.region, found.image, found.extras_hour })
      assert.is_true(math.abs(found.price_hour - 1) < 1e-3 and found.minimum >= 0.01 and found.minimum < 0.02)
      assert.equal("docker-20-04", driver:validate({ image = "docker-20-04" }).image)
    end)
    it("and says what is near and what there is instead", function()
      start()
      local driver <close> = open()
      for _, case in ipairs {
        { { size = "c-23" }, "unknown size 'c%-23' %(did you mean '[%w-]+'%?%): there are .*c%-32" },
        { { region = "nyc33" }, "unknown region 'nyc33' %(did you mean 'nyc3'%?%): there are ams3, " },
        { { region = "nyc2" }, "region 'nyc2' takes no new droplets: use one of ams3, " },
        { { size = "c-60-retired" }, "size 'c%-60%-retired' cannot be had" },
        { { image = "ubuntu-24-04-x65" }, "unknown image .*did you mean 'ubuntu%-24%-04%-x64'" },
        { { name = "a_b" }, "'a_b': use at most 52 letters" },
        { { name = ("a"):rep(53) }, "use at most 52" },
        { { name = "a..b" }, "use at most 52" },
        { { name = "-a" }, "use at most 52" },
      } do
        local problem = failure(driver.validate, driver, case[1])
        assert.matches(case[2], problem.message)
        assert.same({ 64, "check" }, { problem.code, problem.stage })
      end
      assert.equal(0, count("POST", "."))
    end)
  end)

  describe("creates", function()
    it("a droplet that bears its marks, and destroys it with all that came with it", function()
      start()
      local driver <close> = open()
      local lease = new_lease(driver)
      local record = driver:create(lease)
      assert.same({ lease.name, "running", lease.run, lease.expires, "nyc3", "s-1vcpu-1gb", "ubuntu-24-04-x64" },
        { record.name, record.state, record.run, record.expires, record.region, record.size, record.image })
      assert.matches("^192%.0%.2%.", record.address)
      assert.matches("^10%.", record.private_address)
      assert.is_true(math.abs(record.created - system.time()) < 5 and record.price_hour > 0)
      -- The journal knows of the key before it is asked for, and of the droplet at once.
      local name = ("rtlua-%s-exp-%d"):format(lease.run, lease.expires)
      assert.same({ key = { fingerprint = FINGERPRINT, name = name } }, lease.notes[1])
      assert.equal("number", type(lease.notes[2].key.id))
      assert.same({ "created", record.id }, { lease.notes[3].state, lease.notes[3].id })
      assert.same({ record.id }, ids(driver:find(lease)))
      assert.same({ record.id }, ids(driver:list()))
      assert.same(record.marks, driver:get(record).marks)
      assert.same({ FINGERPRINT, name }, { double:alive().keys[1].fingerprint, double:alive().keys[1].name })
      driver:destroy(lease)
      assert_clean()
      assert.is_nil(driver:get(lease))
      assert.equal(0, count("GET", "^/v2/account/keys"))
      driver:destroy(lease) -- what is gone is gone
    end)
    it("and tells what is refused, and takes the key away", function()
      start()
      local driver <close> = open()
      for _, case in ipairs {
        { "limit", 69, "exceed your droplet limit %(422 unprocessable_entity, request [%x-]+%): destroy droplets" },
        { "403", 69, "403 forbidden, .*: give the token the scope droplet:create, tag:create" },
        { "401", 69, "401 unauthorized, .*: make a new token" },
      } do
        local lease = new_lease(driver)
        double:fault { match = match("POST", "^/v2/droplets$"), what = case[1] }
        local problem = failure(driver.create, driver, lease)
        assert.same({ case[2], "create" }, { problem.code, problem.stage })
        assert.matches(case[3], problem.message)
        assert.is_nil(problem.unanswered)
        assert.is_nil(lease.key)
        assert_clean()
      end
    end)
    it("and remembers a key that it cannot take away", function()
      start()
      local driver <close> = open()
      local lease = new_lease(driver)
      double:fault { match = match("POST", "^/v2/droplets$"), what = "limit" }
      double:fault { match = match("DELETE", "^/v2/account/keys/"), what = "403" }
      local problem = failure(driver.create, driver, lease)
      assert.matches("droplet limit", problem.message)
      assert.matches("scope ssh_key:delete", problem.cause.message)
      assert.equal(FINGERPRINT, lease.key.fingerprint)
      driver:destroy(lease)
      assert_clean()
    end)
    it("shows what the provider has to say", function()
      start()
      local driver <close> = open()
      local problem = failure(driver.create, driver, new_lease(driver, { size = "huge" }))
      assert.equal(69, problem.code)
      assert.matches("^create: POST /v2/droplets: You specified an invalid size", problem.message)
      assert_clean()
    end)
    it("nothing twice: a lost reply is said, and the droplet is found", function()
      start()
      local driver <close> = open()
      local lease = new_lease(driver)
      for _, what in ipairs { "lost-reply", "500" } do
        double:fault { match = match("POST", "^/v2/droplets$"), what = what }
        local problem = failure(driver.create, driver, lease)
        assert.same({ 75, "create", true }, { problem.code, problem.stage, problem.unanswered })
        assert.is_nil(lease.id)
        assert.equal(FINGERPRINT, lease.key.fingerprint)
      end
      assert.equal(2, count("POST", "^/v2/droplets$"))
      local found = driver:find(lease)
      assert.equal(1, #found)
      assert.equal(lease.run, found[1].run)
      -- A second one, as asking again makes it.
      driver:create(lease)
      assert.equal(2, #driver:find(lease))
      assert.equal(1, count("POST", "^/v2/account/keys$"))
      driver:destroy(lease)
      assert_clean()
    end)
    it("and finds what lands late", function()
      start()
      local driver <close> = open()
      local lease = new_lease(driver)
      double:fault { match = match("POST", "^/v2/droplets$"), what = "late-create", seconds = 30 }
      assert.is_true(failure(driver.create, driver, lease).unanswered)
      assert.same({}, driver:find(lease))
      local found = loop.until_true(5, 0.05, function() return driver:find(lease)[1] end)
      driver:destroy(lease)
      assert.is_not_nil(found)
      assert_clean()
    end)
    it("with a key whose reply was lost", function()
      start()
      local driver <close> = open()
      local lease = new_lease(driver)
      double:fault { match = match("POST", "^/v2/account/keys$"), what = "lost-reply" }
      driver:create(lease)
      assert.equal("number", type(lease.key.id))
      assert.equal(2, count("POST", "^/v2/account/keys$"))
      assert.equal(1, #double:alive().keys)
      driver:destroy(lease)
      assert_clean()
    end)
    it("and puts on what marks are missing", function()
      start()
      local driver <close> = open()
      local lease, call = new_lease(driver), driver.api.call
      function driver.api.call(self, method, path, options)
        if path == "/droplets" then
          options.body.tags = { "rtlua", options.body.tags[2] }
          driver.api.call = call
        end
        return call(self, method, path, options)
      end
      assert.equal(lease.expires, driver:create(lease).expires)
      assert.equal(lease.expires, driver:get(lease).expires)
      driver:destroy(lease)
      assert_clean()
    end)
  end)

  describe("goes on where", function()
    it("lists lag", function()
      start()
      local driver <close> = open()
      local lease = new_lease(driver)
      double:fault { match = match("GET", "^/v2/droplets$"), what = "lag", seconds = 30, always = true }
      local record = driver:create(lease)
      assert.equal(record.id, driver:get(lease).id)
      driver:destroy(lease)
      assert_clean()
    end)
    it("a fresh id is unknown at first", function()
      start()
      local driver <close> = open()
      local lease = new_lease(driver)
      double:fault { match = match("GET", "^/v2/droplets/%d+"), what = "404", times = 3 }
      local record = driver:create(lease)
      assert.equal("running", record.state)
      double:fault { match = match("GET", "^/v2/droplets/%d+$"), what = "404", times = 2 }
      assert.equal(record.id, driver:get(lease).id)
      driver:destroy(lease)
      assert_clean()
    end)
    it("a droplet is busy when it is to be destroyed", function()
      start()
      local driver <close> = open()
      local lease = new_lease(driver)
      driver:create(lease)
      double:fault { match = match("DELETE", "^/v2/droplets/%d+$"), what = "422", times = 2 }
      driver:destroy(lease)
      assert.equal(3, count("DELETE", "^/v2/droplets/%d+$"))
      assert_clean()
    end)
    it("requests are refused for their rate, or fail", function()
      start()
      local driver <close> = open()
      double:fault { match = match("GET", "^/v2/account$"), what = "429", seconds = 100 }
      local begin = system.now()
      local lease = new_lease(driver)
      assert.is_true(system.now() - begin >= 1) -- the double's Retry-After
      double:fault { match = match("POST", "^/v2/droplets$"), what = "429", times = 2 }
      double:fault { match = match("GET", "."), what = "503", times = 2 }
      driver:create(lease)
      assert.equal(1, #double:alive().droplets)
      double:fault { match = match("DELETE", "."), what = "500", times = 2 }
      double:fault { match = match("DELETE", "."), what = "lost-reply" }
      driver:destroy(lease)
      assert_clean()
    end)
    it("its time is extended: the new mark comes first", function()
      start()
      local driver <close> = open()
      local lease = new_lease(driver)
      driver:create(lease)
      local before, later = lease.expires, lease.expires + 1000
      double:fault { match = match("DELETE", "^/v2/tags/.*/resources$"), what = "403" }
      failure(driver.extend, driver, lease, later)
      assert.equal(later, driver:get(lease).expires)
      driver:extend(lease, later)
      assert.same({ "rtlua", "rtlua:exp-" .. later, "rtlua:run-" .. lease.run }, driver:get(lease).marks)
      for _, tag in ipairs(double:alive().tags) do assert.not_equal("rtlua:exp-" .. before, tag.name) end
      driver:destroy(lease)
      assert_clean()
    end)
    it("it is turned off and on, and says that it is billed", function()
      start()
      local driver <close> = open()
      local lease = new_lease(driver)
      assert.is_nil(driver:create(lease).note)
      local steps = { { "stop", "off" }, { "start", "running" }, { "restart", "running" }, { "kill", "off" } }
      for _, step in ipairs(steps) do
        local record = driver[step[1]](driver, lease)
        assert.equal(step[2], record.state)
        assert.equal(step[2] == "off", record.note ~= nil and record.note:find "billed" ~= nil)
      end
      driver:destroy(lease)
      assert_clean()
    end)
  end)

  describe("gives up, saying what is left, where", function()
    it("the droplet cannot be destroyed", function()
      start()
      local driver <close> = open()
      local lease = new_lease(driver)
      driver:create(lease)
      for _, case in ipairs {
        { "^/v2/droplets", "droplet:delete" }, { "^/v2/account/keys", "ssh_key:delete" },
      } do
        double:fault { match = match("DELETE", case[1]), what = "403" }
        local problem = failure(driver.destroy, driver, lease)
        assert.same({ 76, "destroy" }, { problem.code, problem.stage })
        assert.matches(("%s %%(droplet %d%%) may be left: "):format(lease.name:gsub("%-", "%%-"), lease.id),
          problem.message)
        assert.matches("scope " .. case[2], problem.message)
        assert.equal(403, problem.cause.status)
      end
      driver:destroy(lease)
      assert_clean()
    end)
    it("it is another's", function()
      start()
      local driver <close> = open()
      local id = double:put { kind = "droplet", name = "precious", tags = { "prod" } }
      local lease = new_lease(driver, { id = id })
      assert.equal(76, failure(driver.destroy, driver, lease).code)
      lease = new_lease(driver, { account = "another" })
      assert.equal(76, failure(driver.destroy, driver, lease).code)
      assert.equal(69, failure(driver.get, driver, lease).code)
      lease = new_lease(driver, { endpoint = "https://api.example.org" })
      assert.equal(76, failure(driver.destroy, driver, lease).code)
      assert.equal(1, #double:alive().droplets)
      assert.equal(0, count("DELETE", "."))
    end)
    it("the token is refused: nothing counts as gone", function()
      start()
      local driver <close> = open()
      local lease = new_lease(driver)
      driver:create(lease)
      environment.DIGITALOCEAN_ACCESS_TOKEN = "dop_v1_wrong"
      local other <close> = open()
      local problem = failure(other.check, other)
      assert.same({ 69, "check" }, { problem.code, problem.stage })
      assert.matches("Unable to authenticate you %(401 unauthorized, request .*: make a new token", problem.message)
      assert.equal(69, failure(other.get, other, lease).code)
      assert.equal(76, failure(other.destroy, other, lease).code)
      assert.equal(1, #double:alive().droplets)
      driver:destroy(lease)
    end)
    it("a page is said to be elsewhere", function()
      start()
      local driver <close> = open()
      driver.api.per_page = 7
      local request = loop.request
      loop.request = function(client, fields)
        local response, message, code = request(client, fields)
        if response then response.body = response.body:gsub("127%.0%.0%.1", "127.0.0.2") end
        return response, message, code
      end
      local problem = failure(driver.sizes, driver)
      loop.request = request
      assert.matches("the next page is said to be at another address", problem.message)
    end)
    it("nobody is there", function()
      environment.DIGITALOCEAN_ACCESS_TOKEN = "dop_v1_spec"
      local driver <close> = open { endpoint = "http://127.0.0.1:1" }
      local problem = failure(driver.check, driver)
      assert.same({ 69, "check" }, { problem.code, problem.stage })
      assert.is_nil(problem.unanswered)
    end)
    it("an action fails", function()
      start()
      local driver <close> = open()
      local lease = new_lease(driver)
      local request = loop.request
      loop.request = function(client, fields)
        local response, message, code = request(client, fields)
        if fields.url:find "/actions/" then response.body = response.body:gsub('"in%-progress"', '"errored"') end
        return response, message, code
      end
      local problem = failure(driver.create, driver, lease)
      loop.request = request
      assert.matches("has failed at DigitalOcean: try again", problem.message)
      assert.is_not_nil(lease.id)
      driver:destroy(lease)
      assert_clean()
    end)
  end)

  describe("without a journal", function()
    it("destroys one of two, and leaves the other what it needs", function()
      start()
      local driver <close> = open()
      local lease = new_lease(driver)
      local twin = driver:create(lease)
      lease:note { id = false }
      local adopted = driver:create(lease)
      driver:destroy(driver:get(twin))
      assert.same({ adopted.id }, ids(double:alive().droplets))
      assert.equal(1, #double:alive().keys)
      assert.same(lease:marks(), { "rtlua", driver:get(adopted).marks[3], driver:get(adopted).marks[2] })
      driver:destroy(lease)
      assert_clean()
    end)
    it("takes a list that shows no twin for no proof, when all is young", function()
      start()
      local driver <close> = open()
      local lease = new_lease(driver)
      local twin = driver:create(lease)
      lease:note { id = false }
      driver:create(lease)
      double:fault { match = match("GET", "^/v2/droplets$"), what = "lag", seconds = 300, always = true }
      driver:destroy(driver:get(twin))
      assert.equal(1, #double:alive().keys)
      double:clear_faults()
      driver:destroy(lease)
      assert_clean()
    end)
    it("destroys what is past its end, with its key", function()
      start()
      local driver <close> = open()
      local lease = new_lease(driver)
      lease.expires = lease.expires - 7200
      driver:create(lease)
      local record = driver:list()[1]
      driver:destroy(driver:get(record))
      assert_clean()
    end)
    it("sweeps keys that are over and tags that nothing bears, and nothing else", function()
      start()
      local driver <close> = open()
      local function key(name, number)
        driver.api:call("POST", "/account/keys", { body = { name = name,
          public_key = support.PUBLIC_KEY:gsub("IJTb", "IJT" .. number) } })
      end
      local function tag(name) driver.api:call("POST", "/tags", { body = { name = name } }) end
      local lease = new_lease(driver) -- was extended: its key's name is behind
      driver:create(lease)
      local now = math.floor(driver:check().now)
      key("rtlua-dead-exp-1000", "a")
      key(("rtlua-young-exp-%d"):format(now + 100), "c")
      key("rtlua-" .. lease.run .. "-exp-1000", "d")
      key("laptop", "e")
      for _, name in ipairs { "rtlua:run-dead", "rtlua:run-young", "rtlua:exp-1000", "prod" } do tag(name) end
      tag(("rtlua:exp-%d"):format(now + 100))
      local swept = driver:sweep(now)
      table.sort(swept)
      assert.same({ "key rtlua-dead-exp-1000", "tag rtlua:exp-1000", "tag rtlua:run-dead" }, swept)
      assert.equal(4, #double:alive().keys)
      assert.is_not_nil(driver:get(lease).expires)
      assert.same({}, driver:sweep(now))
    end)
    it("finds all of many", function()
      start { limits = { droplets = 100 } }
      local driver <close> = open()
      driver.api.per_page = 3
      for i = 1, 8 do double:put { kind = "droplet", name = "m" .. i, tags = { "rtlua" } } end
      double:put { kind = "droplet", name = "other", tags = {} }
      assert.equal(8, #driver:list())
    end)
  end)
end)
