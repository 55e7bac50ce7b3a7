-- Jobs: a command on a machine is followed to its end, whatever becomes of the connection.

local jobs = require "rtlua.machine.job"
local errors = require "rtlua.errors"
local folder = require "spec.support.folder"
local lfs = require "lfs"
local loop = require "rtlua.loop"
local marked = require "spec.support.marked"
local process = require "rtlua.process"
local system = require "rtlua.system"

local dir, mark

-- A machine that is this computer, over a connection that is lost after so many bytes of standard output, as often as
-- `cuts` says.
local Transport = {}
Transport.__index = Transport

local function with_mark(command)
  local options = {}
  for key, value in pairs(command) do options[key] = value end
  options.env = { RTLUA_SPEC_MARK = mark.token }
  return options
end

function Transport:folder()
  self.count = (self.count or 0) + 1
  local path = dir.path .. "/job-" .. self.count
  assert(lfs.mkdir(path))
  return path
end

function Transport:run(command)
  if self.down then return nil, "no route to host", errors.TRY_AGAIN end
  if self.lose_reply then
    self.lose_reply = false
    process.run(with_mark(command))
    return nil, "the connection was lost", errors.TRY_AGAIN
  end
  return process.run(with_mark(command))
end

local Cut = {}
Cut.__index = Cut

-- Takes what has come, up to the cut.
function Cut:pull()
  local chunk = self.child:read("stdout", 0) or ""
  self.lost = self.lost or #chunk > self.left
  self.held = self.held .. chunk:sub(1, self.left)
  self.left = self.left - math.min(#chunk, self.left)
end

function Cut:read(stream, seconds)
  if stream == "stderr" then return self.child:read(stream, seconds) end
  self:pull()
  local text = self.held
  self.held = ""
  return text
end

function Cut:wait(seconds)
  local result, message, code = self.child:wait(seconds)
  self:pull()
  if self.lost then return nil, "the connection was lost", errors.TRY_AGAIN end
  return result, message, code
end

function Cut:close() self.child:close() end

Cut.__close = Cut.close

function Transport:start(command)
  if self.down then return nil, "no route to host", errors.TRY_AGAIN end
  self.starts = (self.starts or 0) + 1
  local child, message, code = process.start(with_mark(command))
  if not child then return nil, message, code end
  local left = self.cuts and table.remove(self.cuts, 1)
  return left and setmetatable({ child = child, left = left, held = "" }, Cut) or child
end

local function machine(fields) return setmetatable(fields or {}, Transport) end

local function collect()
  local lines = { stdout = {}, stderr = {} }
  return lines, function(line, stream) table.insert(lines[stream], line) end
end

local pace = loop.pace

before_each(function()
  dir, mark = folder.new(), marked.new()
  loop.pace = function(seconds) return 0.05 * seconds end
end)
after_each(function()
  loop.pace = pace
  collectgarbage()
  assert.is_true(mark:gone(10), "processes are left: " .. table.concat(mark:list(), " "))
  dir:remove()
end)

for _, detached in ipairs { false, true } do
  local function start(text, transport, ...)
    return jobs.start(transport or machine(), { "sh", "-c", text, "sh", ... }, { detached = detached })
  end

  describe(detached and "a detached job" or "a job of this computer", function()
    it("hands over its lines and its code", function()
      local job <close> = start "echo one; echo two >&2; printf 'three\\nfour'; exit 7"
      local lines, on_log = collect()
      local result = job:follow { on_log = on_log }
      assert.same({ { "one", "three", "four" }, { "two" } }, { lines.stdout, lines.stderr })
      assert.same({ 7, nil }, { result.code, result.signal })
      assert.is_true(result.seconds >= 0)
    end)
    it("hands over lines while it runs", function()
      local job <close> = start "echo first; sleep 1; echo second"
      local begin, first = system.now(), nil
      job:follow { on_log = function() first = first or system.now() - begin end }
      assert.is_true(first < 0.8, first)
    end)
    it("tells what signal ended it", function()
      local job <close> = start "kill -TERM $$"
      local result = job:follow {}
      assert.same({ 143, "TERM" }, { result.code, result.signal })
    end)
    it("is late at its deadline, goes on, and may write what it has when it is stopped", function()
      local job <close> = start("trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.05; done")
      local lines, on_log = collect()
      local till = system.now() + 0.7
      local result, message, code = job:follow { on_log = on_log, deadline = function() return till end }
      assert.same({ nil, "late", 75 }, { result, message, code })
      assert.same({ "up" }, lines.stdout)
      job:stop(5)
      lines, on_log = collect()
      assert.equal(9, job:follow({ on_log = on_log }).code)
      assert.equal("bye", lines.stdout[#lines.stdout])
    end)
    it("is made to end where it will not", function()
      local job <close> = start "trap '' TERM; while :; do sleep 0.05; done"
      system.sleep(0.3)
      job:stop(0.5)
      assert.equal("KILL", job:follow({}).signal)
    end)
    it("gets its words, its environment and its working directory as they are", function()
      local words = { "a b", "$HOME", "'\"", "", "*" }
      local command = { "sh", "-c", 'pwd; echo "$NAME"; printf "[%s]" "$@"', "sh", table.unpack(words) }
      command.cwd, command.env = dir.path, { NAME = "x=$y 'z'" }
      local transport = machine()
      if not detached then
        function transport.start(_, given) -- which keeps the command's own environment
          given.env.RTLUA_SPEC_MARK = mark.token
          return process.start(given)
        end
      end
      local job <close> = jobs.start(transport, command, { detached = detached })
      local lines, on_log = collect()
      assert.equal(0, job:follow({ on_log = on_log }).code)
      assert.same({ system.realpath(dir.path), "x=$y 'z'", "[" .. table.concat(words, "][") .. "]" }, lines.stdout)
    end)
  end)
end

describe("a detached job", function()
  local TEXT = "for i in 1 2 3 4 5 6 7 8; do echo line-$i; sleep 0.1; done; exit 3"

  local function start(transport, text)
    return jobs.start(transport, { "sh", "-c", text or TEXT }, { detached = true })
  end

  it("goes on without a connection, and is followed from the byte that was known", function()
    local transport = machine { cuts = { 3, 10, 11 } }
    local job <close> = start(transport)
    local lines, on_log = collect()
    assert.equal(3, job:follow({ on_log = on_log }).code)
    local expected = {}
    for i = 1, 8 do expected[i] = "line-" .. i end
    assert.same(expected, lines.stdout)
    assert.equal(4, transport.starts)
  end)
  it("starts once, and be the answer to its start lost", function()
    local transport = machine { lose_reply = true }
    local job <close> = start(transport, "echo once >>" .. dir.path .. "/count")
    assert.equal(0, job:follow({}).code)
    assert.equal("once\n", dir:read "count")
  end)
  it("is looked for while its machine may live, and no longer", function()
    local transport = machine()
    local job <close> = start(transport, "sleep 0.5")
    transport.down = true
    local asked = 0
    local fine, problem = pcall(job.follow, job, { alive = function()
      asked = asked + 1
      error("it is gone", 0)
    end })
    assert.same({ false, "it is gone", 1 }, { fine, problem, asked })
    transport.down = false
    assert.equal(0, job:follow({}).code)
  end)
  it("is found again by what its lease says of it", function()
    local transport = machine()
    local job <close> = start(transport, ("echo here; while [ ! -e '%s/go' ]; do sleep 0.05; done; echo there"):format(
      dir.path))
    local other <close> = jobs.attach(transport, { folder = job.folder })
    local result, message, code = other:follow { follow = false }
    assert.same({ nil, "still running", 75 }, { result, message, code })
    dir:write("go", "")
    local lines, on_log = collect()
    assert.equal(0, other:follow({ on_log = on_log }).code)
    assert.same({ "here", "there" }, lines.stdout)
    assert.is_nil(jobs.attach(transport, {}))
  end)
  it("that was killed with its shell has ended by SIGKILL", function()
    local transport = machine()
    local job <close> = start(transport, "sleep 100")
    local pid = dir:read(job.folder:match "[^/]*$" .. "/pid"):match "%d+"
    process.run { "kill", "-KILL", "--", "-" .. pid, check = true }
    assert.equal("KILL", job:follow({}).signal)
  end)
end)
