-- Waiting side by side: coroutines that wait let each other go on, and all of them clean up, however they end.

local folder = require "spec.support.folder"
local loop = require "rtlua.loop"
local process = require "rtlua.process"
local run = require "spec.support.run"
local system = require "rtlua.system"

-- A value that notes its end in `log`, after some seconds.
local function closing(log, name, seconds)
  return setmetatable({}, {
    __close = function()
      loop.shield(function()
        loop.sleep(seconds)
        log[#log + 1] = name
      end)
    end,
  })
end

describe("functions side by side", function()
  it("wait for times and programs together, and give their results in order", function()
    local begin, open, most = system.now(), 0, 0
    local function waiting(wait)
      return function()
        open = open + 1
        most = math.max(most, open)
        local result = wait()
        open = open - 1
        return result
      end
    end
    local results = loop.all {
      waiting(function() return process.run({ "sh", "-c", "sleep 0.3; exit 3" }).code end),
      waiting(function() loop.sleep(0.3); return "slept" end),
      waiting(function()
        local child <close> = process.start { "sleep", "0.3" }
        return loop.wait(child, 5).code
      end),
    }
    assert.equal(3, most)
    assert.same({ { true, 3, n = 2 }, { true, "slept", n = 2 }, { true, 0, n = 2 } }, results)
    assert.is_true(system.now() - begin < 5)
  end)

  it("end when their time is over, and clean up", function()
    local log, begin = {}, system.now()
    local results = loop.all({
      function() return "done" end,
      function()
        local open <close> = closing(log, "cleaned", 0) -- luacheck: ignore
        loop.sleep(100)
      end,
    }, 0.2)
    assert.same({ true, "done", false, 75 }, { results[1][1], results[1][2], results[2][1], results[2][2].code })
    assert.same({ "cleaned" }, log)
    assert.is_true(system.now() - begin < 5)
  end)

  it("fail alone: the others go on, also while a failed one cleans up", function()
    local log = {}
    local results = loop.all {
      function()
        local first <close> = closing(log, "cleaned", 0.4) -- luacheck: ignore
        error("broken", 0)
      end,
      function()
        loop.sleep(0.1)
        log[#log + 1] = "went on"
        return true
      end,
    }
    assert.same({ false, "broken" }, { results[1][1], results[1][2] })
    assert.is_true(results[2][1])
    assert.same({ "went on", "cleaned" }, log)
  end)

  it("may be run inside of one another", function()
    local results = loop.all {
      function() return #loop.all { function() loop.sleep(0.05) end, function() loop.sleep(0.05) end } end,
    }
    assert.same({ true, 2 }, { results[1][1], results[1][2] })
  end)

  it("wait at most as long as they were told", function()
    assert.is_nil(loop.until_true(0.05, 0.01, function() return false end))
    local n = 0
    assert.same({ "third", 3 }, { loop.until_true(5, 0.001, function()
      n = n + 1
      if n == 3 then return "third", n end
    end) })
  end)
end)

describe("a signal", function()
  -- What the two coroutines do when it comes, beside one that waits for a program.
  local states = {
    ["while all wait"] = "loop.sleep(100)",
    ["while one computes"] = "while true do end",
    ["while one waits in a pcall loop"] = "while true do pcall(loop.sleep, 100) end",
    ["while one cleans up"] = [[do
      local slow <close> = setmetatable({}, { __close = function()
        loop.shield(function() loop.sleep(0.6) note "slowly" end)
      end })
    end
    loop.sleep(100)]],
  }
  for name, text in pairs(states) do
    it(name .. " lets each clean up, and ends the script with its code", function()
      local dir <close> = folder.new()
      local result = run.rtlua({ dir:write("script.lua", ([[
        local loop, process = require "rtlua.loop", require "rtlua.process"
        local function note(text) io.write(text, "\n") io.flush() end
        local function cleaning(text)
          return setmetatable({}, { __close = function()
            loop.shield(function() process.run { "sleep", "0.1" } note(text) end)
          end })
        end
        loop.all {
          function() local a <close> = cleaning "first"; process.run { "sleep", "100" } end,
          function() local b <close> = cleaning "second"; note "up"; %s end,
        }]]):format(text)) }, { signal = "INT", ready = ".", after = 0.3 })
      assert.equal(130, result.code, result.stderr)
      -- TSan holds signals back from code that makes no system calls: there the watchdog ends the process.
      if text == "while true do end" and os.getenv "RTLUA_SPEC_TSAN" then return end
      for _, word in ipairs { "first", "second", text:find "slowly" and "slowly" or "up" } do
        assert.matches(word .. "\n", result.stdout, 1, true)
      end
    end)
  end
end)
