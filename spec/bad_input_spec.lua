-- Bad input gets one line on standard error and an exit code of its own, and nothing is written.

local lfs = require "lfs"
local folder = require "spec.support.folder"
local run = require "spec.support.run"

local HEAD = 'local rt = require "rtlua"\nreturn rt.scene { camera = rt.camera { from = {0,0,4}, to = {0,0,0} },\n'

-- Runs ./rtlua on `text` as scene.lua in an empty folder; the folder must hold nothing more afterwards.
local function answer(text, options)
  options = options or {}
  local dir <close> = folder.new()
  dir:write("scene.lua", text)
  for name, content in pairs(options.files or {}) do
    dir:write(name, content)
  end
  local before = dir:list()
  local arguments = { "scene.lua", "-o", "out.png", "--quiet", "--size", "8x8", "--spp", "1" }
  if options.render then table.insert(arguments, 1, "render") end
  for _, argument in ipairs(options.arguments or {}) do
    arguments[#arguments + 1] = argument
  end
  local started = os.time()
  local result = run.rtlua(arguments, { cwd = dir.path, signal = options.signal })
  result.seconds = os.time() - started
  assert.same(before, dir:list())
  return result
end

local assert_line = run.assert_line

describe("a wrong scene", function()
  local cases = {
    { "a misspelt field", "rt.sphere { radus = 1 }", "scene%.lua:3:.*radus.*radius" },
    { "a wrong type", 'rt.sphere { radius = "big" }', "scene%.lua:3:.*radius" },
    { "a NaN", "rt.sphere { radius = 0/0 }", "scene%.lua:3:.*radius" },
    { "an infinity", "rt.sphere { radius = math.huge }", "scene%.lua:3:.*radius" },
    { "a negative radius", "rt.sphere { radius = -1 }", "scene%.lua:3:.*radius" },
    { "two numbers for a point", "rt.sphere { center = {0, 0}, radius = 1 }", "scene%.lua:3:.*center" },
    { "a misspelt constructor", "rt.spere { radius = 1 }", "scene%.lua:3:.*spere.*sphere" },
    { "a misspelt material", "rt.sphere { radius = 1, material = rt.difuse {} }", "scene%.lua:3:.*difuse.*diffuse" },
    {
      "a colour that is none",
      'rt.sphere { radius = 1, material = rt.diffuse { color = "#12" } }',
      "scene%.lua:3:.*color",
    },
    { "an albedo above 1", "rt.sphere { radius = 1, material = rt.diffuse { color = 1.5 } }", "scene%.lua:3:.*color" },
    { "a singular transform", "rt.sphere { radius = 1, scale = {1, 0, 1} }", "scene%.lua:3:.*scale" },
    {
      "a power on an infinite plane",
      "rt.plane { point = {0,0,0}, normal = {0,1,0}, material = rt.light { power = 3 } }",
      "scene%.lua:%d+:.*power",
    },
    {
      "a field that belongs elsewhere",
      "rt.quad { {0,0,0}, {1,0,0}, {1,1,0}, {0,1,0}, radius = 2 }",
      "scene%.lua:3:.*radius",
    },
  }
  for _, case in ipairs(cases) do
    it("is answered with file, line and field: " .. case[1], function()
      assert_line(answer(HEAD .. case[2] .. "}"), 65, case[3])
      assert_line(answer(HEAD .. case[2] .. "}", { render = true }), 65, case[3])
    end)
  end

  it(
    "is answered with the line of a syntax error",
    function() assert_line(answer "\nlocal f =\n", 65, "scene%.lua:%d+:") end
  )
  it("is answered with the line of a runtime error", function()
    assert_line(answer "\nlocal t = nil\nreturn t.x", 65, "scene%.lua:3:")
    assert_line(answer("\nerror 'no luck'", { render = true }), 65, "scene%.lua:2: no luck")
  end)
  it("is named in full where its path is longer than Lua's 60 characters", function()
    local dir <close> = folder.new()
    local deep = ("a-rather-long-folder-name/"):rep(4)
    for i = 1, 4 do
      assert(lfs.mkdir(dir.path .. "/" .. ("a-rather-long-folder-name/"):rep(i)))
    end
    dir:write(deep .. "scene.lua", HEAD .. "rt.sphere { radus = 1 } }")
    local result = run.rtlua({ deep .. "scene.lua", "-o", "x.png" }, { cwd = dir.path })
    assert_line(result, 65, "^rtlua: " .. deep:gsub("%-", "%%-") .. "scene%.lua:3:")
  end)
  it("gets a traceback only when asked", function()
    local result = answer(HEAD .. "rt.sphere { radus = 1 } }", { arguments = { "--traceback" } })
    assert.equal(65, result.code)
    assert.truthy(result.stderr:find "stack traceback")
  end)
end)

describe("a mesh file", function()
  local function mesh(file) return HEAD .. ('rt.mesh { file = "%s" } }'):format(file) end
  local PLY = "ply\nformat binary_little_endian 1.0\nelement vertex %s\nproperty float x\n"
    .. "property float y\nproperty float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"

  it("that is missing is named", function() assert_line(answer(mesh "gone.ply"), 66, "scene%.lua:3:.*gone%.ply") end)
  it(
    "that is cut off is answered",
    function()
      assert_line(
        answer(mesh "cut.ply", { files = { ["cut.ply"] = PLY:format "3" .. ("\0"):rep(40) } }),
        65,
        "scene%.lua:3:.*cut%.ply"
      )
    end
  )
  it("that claims 10^12 vertices is answered at once", function()
    local result = answer(mesh "huge.ply", { files = { ["huge.ply"] = PLY:format "1000000000000" .. "abc" } })
    assert_line(result, 65, "huge%.ply")
    assert.is_true(result.seconds <= 2)
  end)
  it(
    "whose index is out of range is answered with its line",
    function()
      assert_line(
        answer(mesh "oob.obj", { files = { ["oob.obj"] = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 99\n" } }),
        65,
        "oob%.obj:4:"
      )
    end
  )
  it("that is a folder, empty or nonsense is answered", function()
    assert_line(answer(mesh "."), 66, "scene%.lua:3:")
    assert_line(answer(mesh "e.obj", { files = { ["e.obj"] = "" } }), 65, "e%.obj")
    assert_line(answer(mesh "n.ply", { files = { ["n.ply"] = "ply\nnonsense\n" } }), 65, "n%.ply")
  end)
end)

describe("an image file", function()
  local function texture(file)
    return HEAD .. ('rt.sphere { radius = 1, material = rt.diffuse { color = rt.image "%s" } } }'):format(file)
  end
  it("that is missing, cut off or too large is answered", function()
    assert_line(answer(texture "gone.png"), 66, "gone%.png")
    assert_line(answer(texture "cut.png", { files = { ["cut.png"] = "\137PNG\r\n\26\n\0\0\0\rIHDR" } }), 65, "cut%.png")
    assert_line(
      answer(texture "huge.pfm", { files = { ["huge.pfm"] = "PF\n65536 65536\n-1.0\nabc" } }),
      65,
      "huge%.pfm"
    )
    assert_line(
      answer(
        texture "huge.hdr",
        { files = { ["huge.hdr"] = "#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 65536 +X 65536\nabc" } }
      ),
      65,
      "huge%.hdr"
    )
  end)
end)

describe("an output", function()
  local good = HEAD .. "rt.sphere { radius = 1 } }"
  it("in a folder that does not exist is refused before the render", function()
    local result = answer(good, { arguments = { "-o", "nodir/out.png", "--spp", "100000" } })
    assert_line(result, 73, "nodir")
    assert.is_true(result.seconds <= 2)
  end)
  it(
    "of an unknown kind is refused",
    function() assert_line(answer(good, { arguments = { "-o", "out.bmp" } }), 64, "bmp") end
  )

  it("on a full disk leaves nothing half written", function()
    local dir <close> = folder.new()
    if not os.execute(("mount -t tmpfs -o size=64k tmpfs '%s' 2>/dev/null"):format(dir.path)) then
      return pending "mounting a tmpfs needs root"
    end
    local scene <close> = folder.new()
    scene:write("scene.lua", good)
    local result = run.rtlua {
      scene.path .. "/scene.lua",
      "--quiet",
      "--size",
      "300x300",
      "--spp",
      "1",
      "-o",
      dir.path .. "/out.pfm",
    }
    local left = dir:list()
    os.execute(("umount '%s'"):format(dir.path))
    assert_line(result, 73, "out%.pfm")
    assert.same({}, left)
  end)
end)

describe("an option", function()
  local good = HEAD .. "rt.sphere { radius = 1 } }"
  for _, case in ipairs {
    { { "--spp", "-3" }, "%-%-spp" },
    { { "--spp", "0" }, "%-%-spp" },
    { { "--spp", "many" }, "%-%-spp" },
    { { "--spp", "99999999999999999999" }, "%-%-spp" },
    { { "--size", "1x99999999" }, "%-%-size" },
    { { "--size", "0x5" }, "%-%-size" },
    { { "--size", "12" }, "%-%-size" },
    { { "--crop", "0,0,9,9" }, "%-%-crop" },
    { { "--crop", "3,3,3,5" }, "%-%-crop" },
    { { "--threads", "0" }, "%-%-threads" },
    { { "--tonemap", "pretty" }, "%-%-tonemap" },
    { { "--sppp", "3" }, "sppp.*spp" },
    { { "-D", "nothing=1" }, "nothing" },
    { { "-D", "nothing" }, "%-D" },
    { { "--time-limit", "soon" }, "%-%-time%-limit" },
    { { "stray" }, "stray" },
    { { "--spp" }, "%-%-spp" },
  } do
    it("that is wrong is answered with 64: " .. table.concat(case[1], " "), function()
      assert_line(answer(good, { arguments = case[1] }), 64, case[2])
      assert_line(answer(good, { arguments = case[1], render = true }), 64, case[2])
    end)
  end

  it("and a script that is missing are answered", function()
    assert_line(run.rtlua { "nowhere.lua" }, 66, "nowhere%.lua")
    assert_line(run.rtlua { "render", "nowhere.lua" }, 66, "nowhere%.lua")
    assert_line(run.rtlua { "render" }, 64, "SCENE")
    assert_line(run.rtlua { "rendr" }, 64, "rendr.*render")
  end)
end)
