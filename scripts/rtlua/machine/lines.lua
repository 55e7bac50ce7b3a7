-- rtlua.machine.lines: output that comes in chunks, as lines.

local lines = {}

--- Cuts chunks into lines for on_line(line, stream). Returns a function (chunk): nil is the end.
function lines.cut(name, on_line)
  local rest = ""
  return function(chunk)
    rest = rest .. (chunk or "")
    local from = 1
    local newline = rest:find("\n", 1, true)
    while newline do
      on_line((rest:sub(from, newline - 1):gsub("\r$", "")), name)
      from = newline + 1
      newline = rest:find("\n", from, true)
    end
    rest = rest:sub(from)
    if not chunk and rest ~= "" then on_line(rest, name) end
  end
end

return lines
