-- How the verbs of `rtlua machine` answer: tables and lines for people, JSON with schema 1 for programs.

local json = require "rtlua.json"
local output = require "rtlua.output"

local show = {}

local function widths(rows)
  local wide = {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do wide[i] = math.max(wide[i] or 0, utf8.len(cell) or #cell) end
  end
  return wide
end

--- A table: rows of texts, the first one its head. A column is as wide as its widest cell.
function show.table(rows)
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do row[i] = output.harmless(cell) end
  end
  local wide = widths(rows)
  for _, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do
      cells[i] = i < #row and cell .. (" "):rep(wide[i] - (utf8.len(cell) or #cell)) or cell
    end
    output.write(table.concat(cells, "   ") .. "\n")
  end
end

--- An object as a line of JSON.
function show.json(object)
  object.schema = 1
  output.write(json.encode(object) .. "\n")
end

--- A line of the answer.
function show.line(text) output.write(output.harmless(text) .. "\n") end

--- What is not the answer.
function show.note(text) output.say(text) end

return show
