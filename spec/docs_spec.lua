-- The reference and the editor's types are made from the schema, and are what the schema says now.

local run = require "spec.support.run"

describe("docs/reference.md and types/rtlua.lua", function()
  it("are up to date, with every exported name documented", function()
    local result = run.program("lua5.4", { "scripts/docs.lua", "--check" })
    assert.equal(0, result.code, result.stderr)
    assert.equal("", result.stderr)
  end)
  it("are Lua and Markdown that name every shape", function()
    assert(loadfile "types/rtlua.lua")
    local file <close> = assert(io.open "docs/reference.md")
    local text = file:read "a"
    for _, name in ipairs {
      "sphere", "quad", "disk", "plane", "box", "cylinder", "triangle", "mesh", "group", "instance", "instances",
      "diffuse", "mirror", "metal", "glass", "plastic", "light", "two_sided", "mix", "checker", "image",
      "point", "spot", "sun", "envmap", "camera", "scene",
    } do
      assert.truthy(text:find("### rt." .. name .. "\n", 1, true), name)
    end
  end)
end)
