-- The command line: its commands as records, their options out of the schema, parsing (by argparse) and help.
--
-- An option is a field record with cli = { flag, metavar, repeated, noun, doc, alone }: without a metavar it is a
-- switch; `alone` is its value where none of its values follows.
-- Values are checked by the schema, so that `--spp -3` and `spp = -3` in a scene get the same answer.

local argparse = require "argparse"
local errors = require "rtlua.errors"
local options = require "rtlua.render_options"
local schema = require "rtlua.schema"
local suggest = require "rtlua.suggest"

local cli = {}

--- Loading a scene: what is no field of the render table, since it is needed before there is one.
cli.load_options = {
  {
    "params", type = "string", doc = "Sets a parameter that the scene reads by rt.params; repeatable.",
    cli = { flag = "-D", metavar = "NAME=VALUE", repeated = true },
  },
  {
    "asset_path", type = "string",
    doc = "A folder that the scene may read, too, and where its assets are looked for; repeatable.",
    cli = { flag = "--asset-path", metavar = "FOLDER", repeated = true },
  },
  { "trust", type = "boolean", doc = "Runs the scene without a sandbox.", cli = { flag = "--trust" } },
  {
    "traceback", type = "boolean",
    doc = "Shows where in the script an error came from.", cli = { flag = "--traceback" },
  },
}

local json = { "json", type = "boolean", doc = "Prints one line of JSON.", cli = { flag = "--json" } }

local function render_option(name)
  for _, f in ipairs(options.fields) do
    if f[1] == name then return f end
  end
  return error("no render option " .. name)
end

local function limit(name, what)
  return {
    name, type = "number", min = 0, doc = ("Exits with 1 when %s."):format(what),
    cli = { flag = "--" .. name:gsub("_", "-"), metavar = "X" },
  }
end

local layer = {
  "layer", type = "string", doc = "Reads this layer of an EXR, such as albedo, instead of the picture.",
  cli = { flag = "--layer", metavar = "NAME" },
}

local function joined(...)
  local all = {}
  for _, list in ipairs { ... } do table.move(list, 1, #list, #all + 1, all) end
  return all
end

cli.commands = {
  {
    name = "render", arguments = { "SCENE.lua" }, summary = "Renders a scene, which runs in a sandbox.",
    options = joined(options.fields, cli.load_options),
  },
  {
    name = "info", arguments = { "SCENE.lua" },
    summary = "Says what is in a scene: primitives, triangles, lights, bounds, memory, files.",
    options = joined({ json }, cli.load_options, { render_option "threads", render_option "time_limit" }),
  },
  {
    name = "diff", arguments = { "A", "B" },
    summary = "Compares picture A with the reference B: mse, relmse, psnr, ssim and flip.",
    options = {
      json, layer,
      limit("max_mse", "the mean squared error is above X"),
      limit("max_relmse", "the relative mean squared error is above X"),
      limit("min_psnr", "the PSNR is below X dB"),
      limit("min_ssim", "the SSIM is below X"),
      limit("max_flip", "the mean FLIP is above X"),
      {
        "ppd", type = "number", min = 1, max = 1000, default = 67,
        doc = "Pixels per degree of the viewer that FLIP imagines.", cli = { flag = "--ppd", metavar = "N" },
      },
      {
        "map", type = "string",
        doc = "Writes FLIP's error of each pixel: 0 to 1 in grey, or in the colours of magma as PNG and JPEG.",
        cli = { flag = "--map", metavar = "FILE" },
      },
    },
  },
  {
    name = "convert", arguments = { "IN", "OUT" },
    summary = "Changes a picture's format, exposure, white or tone curve, without rendering.",
    options = joined({ layer }, options.encoding),
  },
  {
    name = "merge", arguments = { "PART..." },
    summary = "Joins part files (crops, sample ranges) into the picture that one render would have given.",
    options = joined({
      render_option "output", render_option "denoise", render_option "threads",
      {
        "allow_overlap", type = "boolean", doc = "Keeps one where two parts have the same samples.",
        cli = { flag = "--allow-overlap" },
      },
    }, options.encoding),
  },
  {
    name = "bench", arguments = { "traversal", "MESH" },
    summary = "Measures how fast rays are traced and trees are built on a mesh: RAY and BUILD lines.",
    options = {
      {
        "rays", type = "string",
        doc = "Traces the rays of PREFIX.primary, .bounce, .occl and .random: 8 floats each, origin, tnear, direction, "
          .. "tfar. Rays between points of the sphere around the mesh when absent.",
        cli = { flag = "--rays", metavar = "PREFIX" },
      },
      render_option "threads",
    },
  },
  { name = "repl", arguments = {}, summary = "A Lua prompt with rtlua loaded and a history.", options = {} },
}

for _, command in ipairs(cli.commands) do cli.commands[command.name] = command end

cli.usage = {
  { "rtlua SCRIPT.lua [ARGS]", "run a script; if it returns a scene, render it with ARGS as render options" },
  { "rtlua render SCENE.lua [OPTIONS]", "the same in a sandbox: for scenes that you did not write" },
  { "rtlua info SCENE.lua [--json]", "what is in a scene" },
  { "rtlua diff A B [--json]", "compare two pictures; exit 1 where a limit is exceeded" },
  { "rtlua convert IN OUT", "tone map a picture or change its format" },
  { "rtlua merge -o OUT PART...", "join crops and sample ranges into one picture" },
  { "rtlua machine VERB", "machines to render on: create, ls, ssh, rm and docker-machine's other verbs" },
  { "rtlua bench traversal MESH", "how fast rays are traced and trees built on a mesh" },
  { "rtlua repl", "a Lua prompt with rtlua loaded" },
  { "rtlua --version", "the version and what it was built with" },
  { "rtlua --help", "this; rtlua COMMAND --help has the command's options" },
}

local function option_doc(f)
  local doc = f.cli.doc or f.doc
  local kind = schema.types[f.type]
  if f.cli.metavar and f.type == "enum" then doc = doc .. " One of " .. kind.expected(f) .. "." end
  local default = f.default
  if f.cli.metavar and default ~= nil then
    if type(default) == "table" then default = table.concat(default, f.join) end
    doc = doc .. (" Default: %s."):format(tostring(default))
  end
  return doc
end

cli.option_doc = option_doc

-- ---- Parsing

local function parser_of(command, with_arguments)
  local parser = argparse("rtlua " .. command.name, command.summary):add_help(false)
  parser:usage_max_width(100):help_max_width(100):help_description_margin(32)
  if with_arguments then
    for _, name in ipairs(command.arguments) do
      local argument = parser:argument((name:gsub("[.?]+$", ""))):target("argument_" .. name)
      if name:find "%.%.%.$" then argument:args "+" end -- the last one
      if name:find "%?$" then argument:args "?" end
    end
  end
  parser:argument("stray"):args("*"):hidden(true) -- to name it
  parser:flag("-h --help", "Show this and exit.")
  for _, f in ipairs(command.options) do
    if f.cli.metavar then
      parser:option(f.cli.flag, option_doc(f)):target(f[1]):argname(f.cli.metavar):args(1):count("*")
        :action(f.cli.repeated and "append" or "store")
    else
      parser:flag(f.cli.flag, option_doc(f)):target(f[1]):count("*"):action("store_true")
    end
  end
  return parser
end

--- The value of an option that may stand alone, as `following` is one or not; and is it?
local function value_or_alone(f, following)
  if following and schema.text(f, following, f.cli.flag) ~= nil then return following, true end
  return f.cli.alone, false
end

--- Glues `--opt VALUE` to `--opt=VALUE` and `-o VALUE` to `-oVALUE`, so that a value may begin with a dash.
local function glue(command, args)
  local takes_value = {}
  for _, f in ipairs(command.options) do
    if f.cli.metavar then takes_value[f.cli.flag] = f end
  end
  local out, i = {}, 1
  while i <= #args do
    local a = args[i]
    if a == "--" then
      table.move(args, i, #args, #out + 1, out)
      break
    end
    local f = takes_value[a]
    if f and f.cli.alone then
      local value, given = value_or_alone(f, args[i + 1])
      out[#out + 1] = a .. "=" .. value
      i = given and i + 1 or i
    elseif f and args[i + 1] and args[i + 1] ~= "" then
      out[#out + 1] = a .. (a:sub(1, 2) == "--" and "=" or "") .. args[i + 1]
      i = i + 1
    else
      out[#out + 1] = a
    end
    i = i + 1
  end
  return out
end

function cli.help_of(command) return parser_of(command, true):get_help() .. "\n" end

function cli.help()
  local lines = { "Usage:" }
  for _, use in ipairs(cli.usage) do lines[#lines + 1] = ("  %-34s %s"):format(use[1], use[2]) end
  return table.concat(lines, "\n") .. "\n\n" .. cli.help_of(cli.commands.render):match("Options:.*")
end

local function usage_error(message) errors.raise(errors.USAGE, message) end

--- Parses a command's arguments. Returns { arguments = { ... }, options = { name = checked value } }, or { help = text
--- }. Without `with_arguments` there are options alone (what follows a script that has returned a scene).
function cli.parse(command, args, with_arguments)
  local parser = parser_of(command, with_arguments)
  for _, a in ipairs(args) do
    if a == "-h" or a == "--help" then return { help = cli.help_of(command) } end
    if a == "--" then break end
  end
  local ok, result = parser:pparse(glue(command, args))
  if not ok then
    local message = result:gsub("\nDid you mean (.-)%?$", " (did you mean %1?)"):gsub("%s*\n%s*", " ")
    usage_error(("%s: see rtlua %s --help"):format(message, command.name))
  end
  if result.stray and result.stray[1] then
    usage_error(("unexpected argument '%s': see rtlua %s --help"):format(result.stray[1], command.name))
  end
  local parsed = { arguments = {}, options = {} }
  for i, name in ipairs(with_arguments and command.arguments or {}) do
    local value = result["argument_" .. name]
    if type(value) == "table" then
      table.move(value, 1, #value, i, parsed.arguments)
    else
      parsed.arguments[i] = value
    end
  end
  for _, f in ipairs(command.options) do
    local given = result[f[1]]
    if f.cli.repeated then
      parsed.options[f[1]] = given and #given > 0 and given or nil
    elseif f.cli.metavar and type(given) == "string" then
      local value, message = schema.text(f, given, f.cli.flag)
      if value == nil then usage_error(("%s: see rtlua %s --help"):format(message, command.name)) end
      parsed.options[f[1]] = value
    elseif given == true then
      parsed.options[f[1]] = true
    end
  end
  parsed.options.params = cli.params(parsed.options.params)
  return parsed
end

--- { "turn=30", ... } as { turn = "30", ... }.
function cli.params(list, lenient)
  local params = {}
  for _, text in ipairs(list or {}) do
    local name, value = text:match("^([^=]+)=(.*)$")
    if name then
      params[name] = value
    elseif not lenient then
      usage_error(("-D: expected NAME=VALUE, got '%s'"):format(text))
    end
  end
  return params
end

--- What rtlua itself looks for among a script's arguments, which are otherwise the script's own: -D, --time-limit and
--- --traceback.
function cli.peek(args)
  local found = { params = {} }
  local duration = render_option "time_limit"
  local list = {}
  for _, a in ipairs(glue(cli.commands.render, args)) do
    if a == "--" then break end
    local definition = a:match("^%-D(.+)$")
    local time = a:match("^%-%-time%-limit=(.+)$")
    if definition then list[#list + 1] = definition end
    if time then found.time_limit = schema.text(duration, time, "--time-limit") or found.time_limit end
    if a == "--traceback" then found.traceback = true end
  end
  found.params = cli.params(list, true)
  return found
end

--- Every -D must have been read by the scene.
function cli.check_params(params, read)
  local unread, known = {}, {}
  for name in pairs(params) do
    if not read[name] then unread[#unread + 1] = name end
  end
  if #unread == 0 then return end
  for name in pairs(read) do known[#known + 1] = name end
  table.sort(unread)
  table.sort(known)
  local hint = suggest.hint(unread[1], known)
  if hint == "" then hint = #known > 0 and ": it has " .. table.concat(known, ", ") or ": it has none" end
  usage_error(("-D %s: the scene has no parameter of that name%s"):format(unread[1], hint))
end

return cli
