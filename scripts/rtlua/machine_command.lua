-- rtlua machine: docker-machine's verbs, and what it never had. Each verb is a record in machine/verbs/: its name,
-- arguments, options and summary, from which parsing and help derive, and run(parsed), which returns an exit code.
--
-- Whatever the verb, what earlier processes left is finished first; what cannot be ends the command with 76. rm does so
-- afterwards: what it removes is no reason for 76 any more.

local cli = require "rtlua.cli"
local cloud = require "rtlua.cloud"
local errors = require "rtlua.errors"
local output = require "rtlua.output"
local suggest = require "rtlua.suggest"

local machine_command = {}

local verbs, by_name = {}, {}
for _, room in ipairs { "life", "look", "reach", "catalogue", "keep" } do
  for _, verb in ipairs(require("rtlua.machine.verbs." .. room).verbs) do
    verb.name = "machine " .. verb[1]
    verbs[#verbs + 1], by_name[verb[1]] = verb, verb
  end
end

machine_command.verbs = verbs

-- They say nothing of machines that are there, or do themselves what settling does.
local UNSETTLED = { reap = true, sizes = true, regions = true, images = true, cost = true }
local SETTLED_AFTER = { rm = true }

function machine_command.help()
  local lines = { "Usage: rtlua machine VERB", "" }
  for _, verb in ipairs(verbs) do
    lines[#lines + 1] = ("  %-26s %s"):format(verb[1] .. " " .. table.concat(verb.arguments, " "), verb.summary)
  end
  lines[#lines + 1] = "\nrtlua machine VERB --help has a verb's options; docs/machines.md has it all."
  return table.concat(lines, "\n") .. "\n"
end

-- A command's own words, behind the machine's name, are not looked at.
local function parse_raw(verb, words)
  local json = words[1] == "--json"
  local first = json and words[2] or words[1]
  if not first or first:sub(1, 1) == "-" then return cli.parse(verb, words, true) end
  return { arguments = json and table.move(words, 2, #words, 1, {}) or words, options = { json = json } }
end

--- Runs the words behind `machine`. Returns the exit code.
function machine_command.command(words)
  local first = words[1]
  if first == nil or first == "--help" or first == "-h" then
    output.write(machine_command.help())
    return first and 0 or errors.USAGE
  end
  local verb = by_name[first]
  if not verb then
    local names = {}
    for name in pairs(by_name) do names[#names + 1] = name end
    table.sort(names)
    errors.raise(errors.USAGE,
      ("machine: there is no verb '%s'%s: see rtlua machine --help"):format(first, suggest.hint(first, names)))
  end
  local rest = table.move(words, 2, #words, 1, {})
  local parsed = verb.raw and parse_raw(verb, rest) or cli.parse(verb, rest, true)
  if parsed.help then
    output.write(parsed.help)
    return 0
  end
  local after = SETTLED_AFTER[first]
  if not UNSETTLED[first] and not after then cloud.settle(output.say) end
  local code = verb.run(parsed)
  if after then cloud.settle(output.say) end
  return code
end

return machine_command
