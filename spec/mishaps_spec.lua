-- Whatever goes wrong at the provider or here while a machine is rented, nothing of it is left, the exit code and one
-- line say so, and where rtlua can get over it by itself it does. By the double's API alone: what needs machines that
-- boot is in real_mishaps_spec.lua.

local matrix = require "spec.support.fault_matrix"
local mishap = require "spec.support.mishap"
local process = require "rtlua.process"

local SIDE_BY_SIDE = 24
local SCALE = tonumber(os.getenv "RTLUA_SPEC_SCALE") or 1
local NO_INPUT, UNAVAILABLE, CANT_WRITE, TRY_AGAIN, REMAINS = 66, 69, 73, 75, 76
local SIGNALS = { HUP = 129, INT = 130, TERM = 143 }

local IS_ROOT = process.run({ "id", "-u" }).stdout == "0\n"

-- Stages whose limits leave time for a signal on a busy computer.
local LONGER = { pace = 0.05 }

-- What differs between the providers.
local KINDS = {
  digitalocean = {
    create = "^POST /v2/droplets$", list = "^GET /v2/droplets$", get = "^GET /v2/droplets/ID$",
    delete = "^DELETE /v2/droplets/ID$", busy = "^DELETE /v2/droplets/ID$", key = "^POST /v2/account/keys$", dry = 0,
    prices = "^GET /v2/sizes$",
    boots = "^GET /v2/droplets/ID/actions/ID$",
  },
  ec2 = {
    create = "^RunInstances$", list = "^DescribeInstances$", get = "^DescribeInstances$",
    delete = "^TerminateInstances$", busy = "^DeleteSecurityGroup$", key = "^ImportKeyPair$",
    prices = "^DescribeInstanceTypes$", boots = "^DescribeInstances$",
    dry = 1, -- the first RunInstances only asks whether it may
  },
}

-- These come with a machine that is made, which a dry run does not.
local OF_MACHINES = { ["no-address"] = true, ["never-boots"] = true, dies = true }

-- As a Lua pattern that fits it alone.
local function exactly(text) return "^" .. text:gsub("%p", "%%%0") .. "$" end

local function marks_of(self)
  for _, event in ipairs(self:events()) do
    if event.event == "created" and event.tags then
      for _, tag in ipairs(event.tags) do
        local text = type(tag) == "table" and (tag.Key or tag.key or "") .. (tag.Value or tag.value or "") or tag
        local expires = tostring(text):match "exp%-(%d+)"
        if expires then return tonumber(expires), event.time end
      end
    end
  end
end

-- The machine's life, seconds of the real clock.
local function life(self)
  local from, to
  for _, event in ipairs(self:events()) do
    if event.kind == "droplet" or event.kind == "instance" then
      if event.event == "created" then from = event.time end
      if event.event == "destroyed" then to = event.time end
    end
  end
  return to - from
end

-- ---- The mishaps of each provider

local function disk(self)
  process.run { "mkdir", "-p", self.env.RTLUA_STATE, check = true }
  process.run { "mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", self.env.RTLUA_STATE, check = true }
  self.mounted = self.env.RTLUA_STATE
end

local function fill(self)
  process.run { "dd", "if=/dev/zero", "of=" .. self.env.RTLUA_STATE .. "/filler", "bs=1k", "count=512" }
  self.dir:write("full", "")
end

local WAIT_UNTIL_FULL = 'loop.until_true(60, 0.05, function() return io.open(arg[4] .. "/full") end)'

local function free(self) os.remove(self.env.RTLUA_STATE .. "/filler") end

local function mishaps_of(driver)
  local kinds, list = KINDS[driver], {}
  local function add(name, case)
    case.name, case.driver = name, driver
    list[#list + 1] = case
  end
  local function creating(fault)
    fault.match, fault.skip = { kind = kinds.create }, OF_MACHINES[fault.what] and 0 or kinds.dry
    return fault
  end
  local function at(kind, fault)
    fault.match = { kind = kind }
    return fault
  end

  -- First those whose create stays open in the journal for the longest.
  add("the reply to the create is lost", { faults = { creating { what = "lost-reply" } } })
  add("the create lands 30 s after its connection was lost", {
    faults = { creating { what = "late-create", seconds = 30 } },
  })
  add("the create lands when it has been asked for again", {
    faults = { creating { what = "late-create", seconds = 75 } }, made = driver == "ec2" and 1 or 2,
    most = driver == "ec2" and 1 or 2, body = "loop.sleep(loop.pace(120))",
  })
  add("the reply to the create is lost, and lists lag", {
    faults = { creating { what = "lost-reply" }, at(kinds.list, { what = "lag", seconds = 30, always = true }) },
  })
  add("the reply to each create is lost, and no list shows them", {
    faults = {
      creating { what = "lost-reply", always = true },
      at(kinds.list, { what = "lag", seconds = 300, always = true }),
    },
    made = driver == "ec2" and 1 or 3, most = 3, code = REMAINS, lines = 2, says = "create: ",
  })
  add("lists lag", { faults = { at(kinds.list, { what = "lag", seconds = 30, always = true }) } })
  add("reads are refused once a machine is there", {
    faults = { at(kinds.get, { what = "403", times = 1 }) }, code = UNAVAILABLE,
  })
  add("the limit of machines is reached", {
    faults = { creating { what = "limit" } }, made = 0, code = UNAVAILABLE, says = "create: .*limit",
  })
  add("the token may not create", {
    faults = { creating { what = "403" } }, made = 0, code = UNAVAILABLE, says = "create: .*authorized",
  })
  add("the token may not make a key", {
    faults = { at(kinds.key, { what = "403" }) }, made = 0, code = UNAVAILABLE, says = "create: ",
  })
  add("the token may not destroy", {
    faults = { at(kinds.delete, { what = "403", always = true }) }, clear = true, code = REMAINS,
    says = "destroy: .* left.*: ",
  })
  add("destroying is refused twice, for something is pending", {
    faults = { at(kinds.busy, { what = "422", times = 2 }) },
  })
  add("its time is over before it has an address", {
    want = "ttl = 6", options = { pace = 0.2 }, faults = { creating { what = "no-address" } }, code = TRY_AGAIN,
    says = "waiting for it was stopped, before the machine's end", -- on a busy computer before it runs
  })
  add("its time is over before it boots", {
    want = "ttl = 8", options = LONGER, faults = { creating { what = "never-boots" } }, code = TRY_AGAIN,
    says = driver == "ec2" and "running: waiting for it was stopped" or "create: asking for it was stopped",
  })
  add("a machine that gets no address", {
    faults = { creating { what = "no-address" } }, code = UNAVAILABLE, says = "address: ",
  })
  add("a machine that never boots", {
    faults = { creating { what = "never-boots" } }, code = UNAVAILABLE,
    says = driver == "ec2" and "running: " or "create: ",
  })
  add("a machine that dies before it answers", {
    want = 'ready = "ssh"', faults = { creating { what = "dies", seconds = 20 } }, code = UNAVAILABLE,
    says = "ssh: .* is off",
  })
  add("a machine that nobody answers on", { want = 'ready = "ssh"', code = UNAVAILABLE, says = "ssh: .*port 22" })
  for _, skew in ipairs { -7200, 7200 } do
    add(("the provider's clock is %d s off"):format(skew), {
      options = { skew = skew },
      check = function(self)
        local expires, created = marks_of(self)
        if math.abs(expires - created - skew - 3600) > 10 then return "its expiry is not by the provider's clock" end
      end,
    })
  end
  add("its time is over", {
    -- The provider's clock, in whole seconds; a busy computer is later.
    want = "ttl = 3", body = "loop.sleep(12)",
    check = function(self) return life(self) > 8 and "it lived on" or nil end,
  })
  add("its money is spent", {
    want = "ttl = false, max_cost = 0.1",
    check = function(self)
      local expires, created = marks_of(self)
      local most = driver == "ec2" and 0.1 / 0.17 * 3600 or 0.1 / 0.95 * 3600
      return expires - created > most and "its expiry is beyond its money" or nil
    end,
  })
  add("a disk that is full before it begins", {
    root = true, made = 0, code = CANT_WRITE,
    before = function(self)
      disk(self)
      fill(self)
    end,
  })
  add("a disk that is full once a machine is asked for", {
    root = true, faults = { creating { what = "slow", seconds = 300 } }, before = disk, code = CANT_WRITE,
    at = { kind = kinds.create, nth = 1 + kinds.dry }, does = fill, after = free, says = "create: .*No space",
  })
  add("a disk that is full once a machine is there", {
    root = true, at = "up", does = fill, before = disk, body = WAIT_UNTIL_FULL,
    code = CANT_WRITE, after = free, says = "destroy: .*No space",
  })
  local function pipeline(scene, output)
    return function(self)
      return { "scripts/cloud.lua", scene, "-o", self.dir.path .. output, "--driver", driver, "--size",
        mishap.sizes[driver][1], "--region", mishap.sizes[driver][2], "--ttl", "1h" }
    end
  end
  add("there is no such scene", {
    words = pipeline("scenes/no.lua", "/a.png"), made = 0, code = NO_INPUT, plain = true,
  })
  add("the picture cannot be written here", {
    words = pipeline("scenes/cornell.lua", "/no/a.png"), made = 0, code = CANT_WRITE, plain = true,
  })
  for name, code in pairs(SIGNALS) do
    add(("SIG%s while prices are asked for"):format(name), {
      faults = { at(kinds.prices, { what = "slow", seconds = 300 }) }, at = { kind = kinds.prices }, does = name,
      code = code, made = 0,
    })
    add(("SIG%s while it is asked for"):format(name), {
      faults = { creating { what = "slow", seconds = 300 } }, at = "created", does = name, code = code,
    })
    add(("SIG%s while it boots"):format(name), {
      faults = { creating { what = "never-boots" } }, options = LONGER,
      at = { kind = kinds.boots, nth = 2 }, does = name,
      code = code, says = driver == "ec2" and "interrupted in stage running: " or "interrupted in stage create: ",
    })
    add(("SIG%s while it gets an address"):format(name), {
      options = LONGER, faults = { creating { what = "no-address" } }, at = "stage: address",
      does = name, code = code, says = "interrupted in stage address: ",
    })
    add(("SIG%s while SSH does not answer"):format(name), {
      options = LONGER, want = 'ready = "ssh"', at = "stage: ssh", does = name, code = code,
      says = "interrupted in stage ssh: ",
    })
    add(("SIG%s while it is used"):format(name), { body = "loop.sleep(60)", at = "up", does = name, code = code })
    add(("SIG%s while it is destroyed"):format(name), {
      faults = { at(kinds.delete, { what = "slow", seconds = 300 }) }, at = { kind = kinds.delete }, does = name,
      code = code,
    })
  end
  return list
end

-- Each kind of call of a clean run, refused for a while; under sanitizers a part of them.
local function refusals_of(driver)
  local list, seen, count = {}, {}, 0
  for _, call in ipairs(matrix.record(driver)) do
    local match = { kind = exactly(call.kind) }
    for what, faults in pairs {
      ["429"] = { { what = "429", times = 2, match = match, seconds = 1 } },
      ["500, then 503"] = { { what = "500", match = match }, { what = "503", skip = 1, match = match } },
    } do
      if not seen[call.kind .. what] and count % SCALE == 0 then
        list[#list + 1] = { name = ("%s is answered by %s"):format(call.kind, what), driver = driver, faults = faults }
      end
      if not seen[call.kind .. what] then count = count + 1 end
      seen[call.kind .. what] = true
    end
  end
  return list
end

describe("a mishap #life", function()
  local problems
  local all, by_driver = {}, {}
  for _, driver in ipairs { "digitalocean", "ec2" } do
    by_driver[driver] = {}
    for _, list in ipairs { mishaps_of(driver), refusals_of(driver) } do
      for _, case in ipairs(list) do
        case.skipped = case.root and not IS_ROOT
        table.insert(by_driver[driver], case)
        if not case.skipped then all[#all + 1] = case end
      end
    end
  end

  -- Side by side: most of their time is waiting.
  setup(function() problems = mishap.all(all, SIDE_BY_SIDE) end)
  for driver, cases in pairs(by_driver) do
    describe("at " .. driver .. ":", function()
      for _, case in ipairs(cases) do
        it(case.name, function()
          if case.skipped then return pending "mounting a small disk needs root" end
          assert.equal("", problems[case] or "")
        end)
      end
    end)
  end
end)
