-- Mishaps: something goes wrong at the provider, here or with the machine, and what has to hold then is looked at.
--
--     local problem = mishap.try { driver = "digitalocean", faults = { … }, code = 69, says = "create: .*limit" }
--
-- A case has driver and
--     words       of ./rtlua (a function of the stage: words), else a script that provisions; its want and body are
--                 texts of Lua, more fields of cloud.provision and what it does with `machine`; arg[4] is its folder
--     faults      of the double (spec/support/cloud/faults.lua), each of which has to have happened; options, for
--                 cloud.start
--     at, does    when standard error has the line `at` (a pattern), when at = { kind, nth } is asked of the double, or
--                 (at = "created") when a machine is made: does is called with the stage, or a signal's name, which
--                 goes to the script alone
--     before      called with the stage, before it begins; prefix, words that the command is run by
--     code (0), says   the exit code (or "KILL"), and a pattern of what standard error has
--     made (1)    machines that came into being; most (1), at one time
--     after       called with the stage, when the command has ended
--     lines (1)   of standard error that say what is wrong
--     plain       what is wrong is not the machine's: no stage is named
--     clear       what is left at the command's end, and has to be for code 76, is so until faults are cleared
--     check       called with the stage and the result, at the end: nil or what is wrong
--
-- Always holds after each, or it is a problem: nothing of ours is left at the provider, as its ledger has it; no
-- process that bears the stage's mark; what is wrong is one line, "rtlua: STAGE: MESSAGE: REMEDY".

local cloud = require "spec.support.cloud"
local folder = require "spec.support.folder"
local lanes = require "spec.support.lanes"
local ledger = require "spec.support.cloud.ledger"
local loop = require "rtlua.loop"
local marked = require "spec.support.marked"
local process = require "rtlua.process"

local mishap = {}

local GONE_WITHIN = 90 -- seconds; a create that nobody saw answered is looked for half an hour, at the doubles' pace
local ENDS_WITHIN = 120
local KINDS = { "droplets", "instances", "keys", "groups" }

mishap.sizes = { digitalocean = { "c-32", "sfo3" }, ec2 = { "c6i.xlarge", "us-east-1" } }

local SCRIPT = [[
local cloud, loop = require "rtlua.cloud", require "rtlua.loop"
local function say(text) io.stderr:write(text, "\n") end
local want = {
  driver = arg[1], size = arg[2], region = arg[3], ttl = "1h", ready = "address", on_line = say,
  on_stage = function(stage, seconds) say((seconds and "over: " or "stage: ") .. stage) end,
}
for name, value in pairs { %s } do want[name] = value or nil end
local machine <close> = cloud.provision(want)
say "up"
%s
]]

local Stage = {}
Stage.__index = Stage

function Stage:__close()
  for _, pid in ipairs(self.mark:list()) do process.run { "kill", "-KILL", tostring(pid) } end
  if self.own then self.double:close() end
  if self.mounted then process.run { "umount", "--lazy", self.mounted } end
  self.dir:remove()
end

--- What is of the provider's, as a list of texts.
function Stage:left()
  local alive, list = self.double:alive(), {}
  for _, kind in ipairs(KINDS) do
    for _, one in ipairs(alive[kind] or {}) do list[#list + 1] = ("%s %s"):format(kind, one.name or one.id) end
  end
  return list
end

--- The ledger's events since this stage began.
function Stage:events()
  local events = self.double:ledger()
  return table.move(events, self.first, #events, 1, {})
end

-- A double (or one that is there already, which is left as it is), a folder, and a mark.
local function new_stage(case, double)
  local self = setmetatable({
    dir = folder.new(), mark = marked.new(), double = double or cloud.start(case.options), own = not double, text = "",
  }, Stage)
  self.double:clear_faults()
  self.first = #self.double:ledger() + 1
  self.env = { RTLUA_SPEC_MARK = self.mark.token, RTLUA_STATE = self.dir.path .. "/state" }
  for name, value in pairs(self.double.env) do self.env[name] = self.env[name] or value end
  for name, value in pairs(case.env or {}) do self.env[name] = value end
  return self
end

local function words_of(case, self)
  local words = table.move(case.prefix and case.prefix(self) or {}, 1, 9, 1, {})
  words[#words + 1] = "./rtlua"
  if case.words then
    for _, word in ipairs(case.words(self)) do words[#words + 1] = word end
    return words
  end
  words[#words + 1] = self.dir:write("mishap.lua", SCRIPT:format(case.want or "", case.body or ""))
  words[#words + 1] = case.driver
  for _, word in ipairs(mishap.sizes[case.driver]) do words[#words + 1] = word end
  words[#words + 1] = self.dir.path
  return words
end

local function has_come(case, self)
  if case.at == "created" then
    for _, event in ipairs(self:events()) do
      if event.event == "created" and ledger.is_machine(event.kind) then return true end
    end
    return false
  end
  if type(case.at) == "string" then return ("\n" .. self.text):find("\n" .. case.at) end
  local count = 0
  for _, event in ipairs(self:events()) do
    if event.event == "request" and event.kind:find(case.at.kind) then count = count + 1 end
  end
  return count >= (case.at.nth or 1)
end

-- Runs the command to its end, and does in between what the case says. Returns its result, nil where it did not end.
local function play(case, self)
  local words = words_of(case, self)
  words.env, words.stdout, words.stderr = self.env, true, true
  local child <close> = assert(process.start(words))
  self.child, self.out = child, ""
  local waiting = case.at ~= nil
  local result = loop.until_true(ENDS_WITHIN, 0.005, function()
    local ended = child:wait(0)
    self.text = self.text .. (child:read("stderr", 0) or "")
    self.out = self.out .. (child:read("stdout", 0) or "")
    if waiting and has_come(case, self) then
      waiting = false
      if type(case.does) == "string" then child:kill(case.does) else case.does(self) end
    end
    return ended
  end)
  local more = child:read("stderr", 0)
  while more and more ~= "" do
    self.text = self.text .. more
    more = child:read("stderr", 0)
  end
  if waiting then return nil, "the moment did not come: " .. self.text end
  return result, "the command did not end: " .. self.text
end

local function last_lines(text, count)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return table.concat(lines, "\n", math.max(1, #lines - count + 1))
end

-- What the user was told.
local function message_problem(case, code, text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do
    if line:find "^rtlua: " then lines[#lines + 1] = line end
  end
  if code ~= 0 and code ~= "KILL" and code < 128 then
    if #lines ~= (case.lines or 1) then return ("%d lines say what is wrong: %s"):format(#lines, text) end
    for _, line in ipairs(lines) do
      local whole = line:find "^rtlua: [%a-]+: .+: .+"
      if not whole and not case.plain then return "no stage, message and remedy: " .. line end
    end
  end
  if case.says and not text:find(case.says) then return ("does not say '%s': %s"):format(case.says, text) end
  if text:find "traceback" then return "a traceback: " .. text end
end

local function ledger_problem(case, self)
  local made, faults, events = 0, 0, self:events()
  for _, event in ipairs(events) do
    if event.event == "created" and ledger.is_machine(event.kind) then made = made + 1 end
    if event.event == "fault" then faults = faults + 1 end
  end
  if made ~= (case.made or 1) then return ("%d machines were made"):format(made) end
  if faults < #(case.faults or {}) then return "what was to go wrong did not" end
  if ledger.most_alive(events) > (case.most or 1) then return ("%d at a time"):format(ledger.most_alive(events)) end
end

-- What is there when all should be over, or nil.
local function remains(self)
  if not loop.until_true(GONE_WITHIN, 0.05, function() return #self:left() == 0 end) then
    return "left at the provider: " .. table.concat(self:left(), ", ")
  end
  if not loop.until_true(GONE_WITHIN, 0.1, function() return #self.mark:list() == 0 end) then
    return "processes are left: " .. table.concat(self.mark:list(), " ")
  end
  if #self:left() > 0 then return "came back: " .. table.concat(self:left(), ", ") end
  if self.own and self.double:complaints() ~= "" then return "the double: " .. self.double:complaints() end
end

--- Plays one case, with a double that is there already or one of its own: nil, or what is wrong.
function mishap.try(case, double)
  local self <close> = new_stage(case, double)
  for _, fault in ipairs(case.faults or {}) do self.double:fault(fault) end
  if case.before then case.before(self) end
  local result, why = play(case, self)
  if not result then return why end
  if case.clear and #self:left() == 0 then return "nothing was left" end
  if case.clear then self.double:clear_faults() end
  local code = case.code or 0
  local how = result.signal or result.code
  if how ~= code then return ("ended with %s, not %s: %s"):format(how, code, last_lines(self.text, 3)) end
  if case.after then case.after(self) end
  local problem = message_problem(case, code, self.text) or remains(self) or ledger_problem(case, self)
  return problem or case.check and case.check(self, result) or nil
end

--- Plays cases, so many side by side, each with a double of its own, or with options, cloud.start's, one for all that
--- are played one after the other. Returns their problems, by case.
function mishap.all(cases, side_by_side, options)
  return lanes.problems(cases, side_by_side, mishap.try, options and function() return cloud.start(options) end)
end

return mishap
