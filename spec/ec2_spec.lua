-- The driver for EC2 against the local one: the life of an instance, and all answers but the wanted one.

local cloud = require "spec.support.cloud"
local ec2 = require "rtlua.drivers.ec2"
local errors = require "rtlua.errors"
local loop = require "rtlua.loop"
local support = require "spec.support.driver"
local system = require "rtlua.system"

local environment, double

-- ---- A stage

-- Nothing of this machine's own AWS configuration is seen.
local function replace_environment()
  environment = support.replace_environment({ HOME = "/nonexistent", AWS_EC2_METADATA_DISABLED = "true" },
    function(name) return name:match "^AWS_" or name == "HOME" end)
end

local function start(options)
  options = options or {}
  options.pace = support.PACE
  double = cloud.start(options)
  for name, value in pairs(double.env) do environment[name] = value end
  return ec2.open {}
end

local function new_lease(driver, fields)
  local all = { driver = "ec2", region = "us-east-1", size = "c6i.large", image = "ami-00000000000000103" }
  for key, value in pairs(fields or {}) do all[key] = value end
  return support.lease(driver:check(), all)
end

local function get_when(driver, lease, state)
  return loop.until_true(5, 0.02, function()
    local fine, record = pcall(driver.get, driver, lease)
    if not fine and record.code ~= errors.TRY_AGAIN then error(record, 0) end
    return fine and record and record.state == state and record
  end)
end

local function running(driver, fields)
  local lease = new_lease(driver, fields)
  driver:create(lease)
  return lease, assert(get_when(driver, lease, "running"))
end

local function failure(f, ...) return support.failure(environment.AWS_SECRET_ACCESS_KEY, f, ...) end

local function assert_failure(code, stage, pattern, f, ...)
  local problem = failure(f, ...)
  assert.matches(pattern, problem.message)
  assert.same({ code, stage }, { problem.code, problem.stage })
  assert.is_string(problem.remedy)
  return problem
end

local function assert_clean()
  local alive = double:alive()
  assert.same({ {}, {}, {}, {} }, { alive.instances, alive.keys, alive.groups, alive.volumes or {} })
end

local function count(kind)
  local n = 0
  for _, call in ipairs(double:calls()) do n = n + (call.kind == kind and 1 or 0) end
  return n
end

local function names(list)
  local found = {}
  for i, element in ipairs(list) do found[i] = element.slug end
  return found
end

describe("rtlua.drivers.ec2 #life", function()
  local driver

  before_each(replace_environment)
  after_each(function()
    if driver then driver:close() end
    driver = nil
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
    it("whose account it is, and what time it is there", function()
      driver = start { skew = 200 }
      local checked = driver:check()
      assert.same({ "123456789012", double.base .. "/ec2", "root" },
        { checked.account, checked.endpoint, checked.login })
      assert.is_true(math.abs(checked.now - system.time() - 200) < 3)
    end)
    it("what there is, over all pages, with the prices that are known", function()
      driver = start()
      local sizes = driver:sizes()
      assert.same({ "t3.micro", "t4g.small", "t3.medium", "c7g.large", "c6i.large", "c7i.large", "m7i.large",
        "c6i.xlarge", "c7i.8xlarge", "p5.48xlarge" }, names(sizes))
      local c7i = sizes[9]
      assert.same({ 32, 65536, 16, 1.428 }, { c7i.vcpus, c7i.memory, c7i.disk, c7i.price_hour })
      assert.is_true(math.abs(c7i.price_month - 1.428 * 730) < 1e-9)
      assert.is_nil(sizes[10].price_hour)
      assert.same({ "eu-central-1", "us-east-1", "us-west-2" }, names(driver:regions()))
      assert.same({ "ubuntu-24.04-amd64", "ubuntu-24.04-arm64", "ubuntu-22.04-amd64" }, names(driver:images()))
    end)
    it("for nothing that changes anything, when what is wanted is checked", function()
      driver = start()
      local plan = driver:validate { size = "c6i.large", name = "spec" }
      assert.same({ "us-east-1", "ami-00000000000000103", 0.085 }, { plan.region, plan.image, plan.price_hour })
      assert.is_true(math.abs(plan.minimum - 0.085 / 60) < 1e-12)
      assert.is_true(math.abs(plan.extras_hour - (16 * 0.08 / 730 + 0.005)) < 1e-12)
      assert.equal("ami-00000000000000104", driver:validate({ size = "c7g.large" }).image)
      assert.equal("ami-00000000000000101", driver:validate({ size = "c6i.large", image = "ubuntu-22.04" }).image)
      assert.equal("ami-00000000000000303", driver:validate({ size = "t3.micro", region = "us-west-2" }).image)
      assert_clean()
    end)
    it("no more than once a page in each region for all of ours", function()
      driver = start()
      local one = running(driver)
      local other = running(driver, { region = "eu-central-1", image = "ami-00000000000000203" })
      double:put { kind = "instance", name = "somebody else's" }
      local found = {}
      loop.until_true(2, 0.1, function() return #double:alive().instances == 3 end)
      for _, record in ipairs(driver:list()) do found[record.name] = record.region end
      assert.same({ [one.name] = "us-east-1", [other.name] = "eu-central-1" }, found)
    end)
  end)

  describe("refuses", function()
    it("what there is not, naming what is near", function()
      driver = start()
      assert_failure(64, "check", "unknown size 'c6i.lage' in us%-east%-1 %(did you mean 'c6i.large'%?%): available: t",
        driver.validate, driver, { size = "c6i.lage" })
      assert_failure(64, "check", "unknown region 'us%-east%-9' %(did you mean 'us%-east%-1'%?%): avail",
        driver.validate, driver, { size = "c6i.large", region = "us-east-9" })
      assert_failure(64, "check", "unknown image 'ubuntu%-24.05' in us%-east%-1 %(did you mean 'ubuntu%-24.04'%?%).* "
        .. "one of: ubuntu%-24.04, ubuntu%-22.04$", driver.validate, driver,
        { size = "c6i.large", image = "ubuntu-24.05" })
      assert_failure(64, "check", "unknown image 'ami%-0123' in us%-east%-1", driver.validate, driver,
        { size = "c6i.large", image = "ami-0123" })
      assert_failure(64, "check", "is for arm64, and the size c6i.large for x86_64", driver.validate, driver,
        { size = "c6i.large", image = "ami-00000000000000104" })
      assert_failure(64, "check", "takes no name 'a;b'", driver.validate, driver, { size = "c6i.large", name = "a;b" })
      assert_clean()
    end)
    it("a price that nobody knows, and takes one that is given", function()
      driver = start()
      local big = { size = "p5.48xlarge" }
      assert_failure(64, "check", "no price is known for p5.48xlarge in us%-east%-1.*price_hour", driver.validate,
        driver, big)
      assert_failure(64, "check", "no price is known for t3.micro in eu%-central%-1", driver.validate, driver,
        { size = "t3.micro", region = "eu-central-1" })
      assert_failure(64, "check", "billed as 'Red Hat", driver.validate, driver,
        { size = "t3.micro", image = "ami-00000000000000107" })
      big.price_hour = 98.5
      assert.equal(98.5, driver:validate(big).price_hour)
      local mine <close> = ec2.open { price_hour = 1.5, region = "eu-central-1" }
      local plan = mine:validate { size = "t3.micro" }
      assert.same({ 1.5, "eu-central-1" }, { plan.price_hour, plan.region })
      assert.is_true(plan.extras_hour > 16 * 0.08 / 730 + 0.005)
    end)
    it("to go on without credentials or region, before any request", function()
      driver = start()
      environment.AWS_SECRET_ACCESS_KEY, environment.AWS_ACCESS_KEY_ID = nil, nil
      assert_failure(64, "check", "no AWS credentials: set AWS_ACCESS_KEY_ID", driver.check, driver)
      environment.AWS_REGION = nil
      local nowhere <close> = ec2.open {}
      assert_failure(64, "check", "no region is set: give %-%-region", nowhere.validate, nowhere, {})
      assert.equal(0, #double:calls())
    end)
    it("keys that AWS refuses", function()
      driver = start()
      environment.AWS_SECRET_ACCESS_KEY = "another"
      assert_failure(69, "check", "does not match.*SignatureDoesNotMatch%): check AWS_ACCESS_KEY_ID", driver.check,
        driver)
      assert_failure(69, "check", "AuthFailure", driver.sizes, driver)
      environment.AWS_ACCESS_KEY_ID = "AKIAUNKNOWN"
      local other <close> = ec2.open {}
      assert_failure(69, "check", "InvalidClientTokenId", other.check, other)
    end)
    it("to speak of another account's machines", function()
      driver = start()
      local lease = running(driver)
      lease.account = "210987654321"
      assert_failure(69, "check", "belongs to the account 210987654321", driver.get, driver, lease)
      assert_failure(76, "destroy", "may be left in us%-east%-1: .*belongs to the account", driver.destroy, driver,
        lease)
      assert.equal(1, #double:alive().instances)
    end)
    it("what its user may not do, before anything is made", function()
      driver = start { faults = { { match = { kind = "^RunInstances$" }, what = "403" } } }
      assert_failure(69, "check", "UnauthorizedOperation%): let its IAM user or role do ec2:RunInstances",
        driver.validate, driver, { size = "c6i.large" })
      assert_clean()
    end)
  end)

  describe("a machine", function()
    it("lives from its request to its end, with all that belongs to it", function()
      driver = start()
      local lease = new_lease(driver)
      local made = driver:create(lease)
      assert.same({ "new", lease.run, lease.expires }, { made.state, made.run, made.expires })
      local record = get_when(driver, lease, "running")
      assert.same({ lease.id, lease.name, lease.run, lease.expires, "us-east-1", "c6i.large", 0.085, "ec2" }, {
        record.id, record.name, record.run, record.expires, record.region, record.size, record.price_hour,
        record.driver,
      })
      assert.matches("^192%.0%.2%.", record.address)
      assert.matches("^10%.", record.private_address)
      assert.same(lease:marks()[2], record.marks[3])
      assert.equal(record.created, lease.launched)
      local alive = double:alive()
      for _, kind in ipairs { "keys", "groups", "volumes" } do
        local tags = alive[kind][1].tags
        for _, mark in ipairs(lease:marks()) do assert.equal("", tags[mark], kind) end
      end
      assert.same({ ("rtlua-%s-exp-%d"):format(lease.run, lease.expires) }, { alive.keys[1].name })
      assert.equal(alive.keys[1].name, alive.groups[1].name)
      driver:destroy(lease)
      assert_clean()
      assert.is_nil(driver:get(lease))
      assert.same({}, driver:find(lease))
      driver:destroy(lease)
    end)
    it("is in the journal, with what it needs, before the next is asked for", function()
      driver = start()
      local lease = new_lease(driver, { key = { fingerprint = "aa:bb" } })
      driver:create(lease)
      local key, group = lease.notes[1].key, lease.notes[1].group
      assert.same({ "aa:bb", group.name }, { key.fingerprint, key.name })
      assert.same({ "aa:bb", lease.key.name }, { lease.notes[2].key.fingerprint, lease.notes[2].key.name })
      assert.matches("^key%-", lease.notes[2].key.id)
      assert.matches("^sg%-", lease.notes[3].group.id)
      assert.same({ lease.id, "created" }, { lease.notes[4].id, lease.notes[4].state })
    end)
    it("is turned off, on, off and on, and off at once", function()
      driver = start()
      local lease = running(driver)
      assert.equal("off", driver:stop(lease).state)
      assert.equal("running", driver:start(lease).state)
      assert.equal("running", driver:restart(lease).state)
      assert.equal("off", driver:kill(lease).state)
      driver:destroy(lease)
      assert_clean()
    end)
    it("gets the later expiry before it loses the earlier one, and so does what belongs to it", function()
      driver = start()
      local lease = running(driver)
      driver:extend(lease, lease.expires + 600)
      local record = driver:get(lease)
      assert.same({ "rtlua", ("rtlua:exp-%d"):format(lease.expires + 600), "rtlua:run-" .. lease.run }, record.marks)
      for _, kind in ipairs { "keys", "groups", "volumes" } do
        assert.equal("", double:alive()[kind][1].tags[record.marks[2]], kind)
      end
      -- Half-way: both are there, and the later one counts.
      double:fault { match = { kind = "^DeleteTags$" }, what = "422", times = 1 }
      assert_failure(69, "check", "IncorrectState", driver.extend, driver, lease, lease.expires + 1200)
      assert.equal(lease.expires + 1200, driver:get(lease).expires)
      assert.equal(4, #driver:get(lease).marks)
    end)
    it("that is not listed yet is not gone", function()
      driver = start()
      local lease = new_lease(driver)
      driver:create(lease)
      double:fault { match = { kind = "^DescribeInstances$" }, what = "lag", seconds = 1000, times = 2 }
      assert.same({}, driver:find(lease))
      double:fault { match = { kind = "^DescribeInstances$" }, what = "lag", seconds = 1000 }
      assert_failure(75, "running", "EC2 does not list i%-%x+ yet", driver.get, driver, lease)
      assert.truthy(get_when(driver, lease, "running"))
    end)
    it("whose id is unknown for longer than lists lag is gone", function()
      driver = start()
      local lease = new_lease(driver, { id = "i-0123456789abcdef0", created = math.floor(system.time()) - 3600 })
      assert.is_nil(driver:get(lease))
      driver:destroy(lease)
    end)
    it("that another took away is gone, and can be destroyed", function()
      driver = start()
      local lease = running(driver)
      double:fail(lease.id, "gone")
      assert.is_true(loop.until_true(5, 0.02, function() return driver:get(lease) == nil end))
      driver:destroy(lease)
      assert_clean()
    end)
    it("of the same run stays, with key and group, when a record is destroyed", function()
      driver = start()
      local lease, record = running(driver)
      -- A provider without ClientTokens would make it.
      double:put { kind = "instance", name = lease.name, group = lease.group.id,
        tags = { "rtlua", "rtlua:run-" .. lease.run } }
      local both
      loop.until_true(5, 0.02, function()
        both = driver:find(lease)
        return #both == 2
      end)
      assert.equal(2, #both)
      local other = both[1].id == record.id and both[2] or both[1]
      driver:destroy(other)
      assert.equal(1, #driver:find(lease))
      assert.equal(1, #double:alive().groups)
      driver:destroy(lease)
      assert_clean()
    end)
  end)

  describe("a create", function()
    it("whose reply is lost is asked again, and makes one machine", function()
      driver = start()
      for _, kind in ipairs { "ImportKeyPair", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress",
        "RunInstances" } do
        double:fault { match = { kind = "^" .. kind .. "$" }, what = "lost-reply" }
      end
      local lease = running(driver)
      local alive = double:alive()
      assert.same({ 1, 1, 1, 1 }, { #alive.instances, #alive.keys, #alive.groups, double:most_alive() })
      assert.is_true(count "RunInstances" >= 2)
      driver:destroy(lease)
      assert_clean()
    end)
    it("that is asked again by its caller makes one machine", function()
      driver = start()
      local lease = running(driver)
      local id = lease.id
      driver:create(lease)
      assert.equal(id, lease.id)
      assert.equal(1, double:most_alive())
      driver:destroy(lease)
      assert_failure(69, "create", "was terminated already", driver.create, driver, lease)
    end)
    it("that is never answered says so", function()
      driver = start()
      local lease = new_lease(driver)
      double:fault { match = { kind = "^RunInstances$" }, what = "drop", always = true }
      assert.is_true(assert_failure(75, "create", "", driver.create, driver, lease).unanswered)
      double:clear_faults()
      double:fault { match = { kind = "^RunInstances$" }, what = "500", always = true }
      assert.is_true(assert_failure(75, "create", "InternalError", driver.create, driver, lease).unanswered)
      double:clear_faults()
      double:fault { match = { kind = "^RunInstances$" }, what = "limit" }
      local problem = assert_failure(69, "create", "VcpuLimitExceeded%): take a smaller size", driver.create, driver,
        lease)
      assert.is_nil(problem.unanswered)
      driver:destroy(lease)
      assert_clean()
    end)
    it("that died between request and journal leaves nothing behind", function()
      driver = start()
      for _, kind in ipairs { "ImportKeyPair", "CreateSecurityGroup" } do
        local lease = new_lease(driver)
        function lease.note(self, noted)
          local told = kind == "ImportKeyPair" and noted.key or noted.group
          if told and told.id then error "died" end
          for key, value in pairs(noted) do self[key] = value end
        end
        assert.is_false((pcall(driver.create, driver, lease)))
        driver:destroy(lease)
        assert_clean()
      end
    end)
  end)

  describe("goes on", function()
    it("after refusals for its rate and failures of AWS", function()
      driver = start()
      for _, what in ipairs { "429", "500", "503" } do
        for _, kind in ipairs { "Describe", "ImportKey", "CreateSecurity", "RunInstances", "Terminate", "Delete" } do
          double:fault { match = { kind = "^" .. kind }, what = what }
        end
      end
      local lease = running(driver)
      driver:destroy(lease)
      assert_clean()
      assert.equal(1, double:most_alive())
    end)
    it("by AWS's clock, wherever ours is", function()
      driver = start { skew = -7200 }
      local checked = driver:check()
      assert.is_true(math.abs(checked.now - system.time() + 7200) < 3)
      local lease = running(driver)
      double:set { skew = 86400 }
      driver:destroy(lease)
      assert_clean()
    end)
    it("until a group is free", function()
      driver = start()
      local lease = running(driver)
      double:fault { match = { kind = "^DeleteSecurityGroup$" }, what = "422", times = 2 }
      driver:destroy(lease)
      assert.is_true(count "DeleteSecurityGroup" >= 3)
      assert_clean()
    end)
  end)

  it("says what is left where it cannot destroy", function()
    driver = start()
    local lease = running(driver)
    double:fault { match = { kind = "^TerminateInstances$" }, what = "403", always = true }
    assert_failure(76, "destroy", "spec%-run%d+ %(i%-%x+%) may be left in us%-east%-1: TerminateInstances.*machine rm",
      driver.destroy, driver, lease)
    double:clear_faults()
    double:fault { match = { kind = "^DeleteSecurityGroup$" }, what = "422", always = true }
    assert_failure(76, "destroy", "the security group sg%-.* has a dependent object", driver.destroy, driver, lease)
    double:clear_faults()
    driver:destroy(lease)
    assert_clean()
  end)

  it("sweeps keys and groups past their end in all regions, and no others", function()
    driver = start()
    local now = math.floor(system.time())
    local old = new_lease(driver, { region = "eu-central-1", image = "ami-00000000000000203", expires = now - 60 })
    double:fault { match = { kind = "^RunInstances$" }, what = "limit" }
    failure(driver.create, driver, old)
    local fresh = new_lease(driver)
    double:fault { match = { kind = "^RunInstances$" }, what = "limit" }
    failure(driver.create, driver, fresh)
    local alive = running(driver, { expires = now - 60 })
    local removed
    loop.until_true(5, 0.05, function() -- lists lag
      removed = driver:sweep(now)
      return #removed > 0
    end)
    assert.equal(2, #removed)
    assert.matches("security group sg%-%x+ in eu%-central%-1", table.concat(removed, "; "))
    assert.matches("key pair rtlua%-run%d+%-exp%-%d+ in eu%-central%-1", table.concat(removed, "; "))
    assert.equal(2, #double:alive().groups)
    driver:destroy(fresh)
    driver:destroy(alive)
    assert_clean()
  end)
end)
