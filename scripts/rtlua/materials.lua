-- Materials: the records of diffuse, mirror, metal, glass, plastic, light, two_sided and mix.
--
-- Reflectances are 0 to 1. `roughness` is perceptual: GGX's alpha is its square; `alpha` gives that itself. Colours and
-- numbers may be textures. Every material but light, which is nothing else, has `emission`: radiance that leaves both
-- sides.

local description = require "rtlua.description"
local families = require "rtlua.families"
local metals = require "rtlua.metals"

local materials = { records = {} }

local emission = {
  "emission", type = "color", texture = true, min = 0,
  doc = "Radiance that leaves both sides, W/(m² sr); none when absent.",
}

local function reflectance(default, doc)
  return { "color", type = "color", texture = true, min = 0, max = 1, default = default, doc = doc }
end

local function roughness()
  return {
    "roughness", type = "factor", min = 0, max = 1,
    doc = "Perceptual roughness, alpha = roughness²; 0, smooth, when neither is given.",
  }, { "alpha", type = "factor", min = 0, max = 1, doc = "GGX's alpha itself, instead of roughness." }
end

local either_roughness = { "roughness", "alpha" }

local function define(record)
  record.family = families.material
  if record.name ~= "light" then record.fields[#record.fields + 1] = emission end
  materials.records[#materials.records + 1] = record
  materials[record.name] = record
end

define {
  name = "diffuse",
  doc = "Lambert's ideal matte surface.",
  fields = { reflectance(0.8, "The part of the light that it reflects.") },
}

define {
  name = "mirror",
  doc = "A perfect mirror with the same reflectance at every angle.",
  fields = { reflectance(1, "The part of the light that it reflects.") },
}

local names = {}
for name in pairs(metals) do names[#names + 1] = name end
table.sort(names)

local rough, alpha = roughness()
define {
  name = "metal",
  doc = "A conductor with GGX roughness: a preset measured metal, eta and k with exact Fresnel, or a colour with "
    .. "Schlick's curve.",
  fields = {
    { "preset", type = "enum", values = names, doc = "A metal by name, from measured eta and k." },
    {
      "eta", type = "color", texture = true, above = 0,
      doc = "The real part of the refractive index, for red, green and blue.",
    },
    { "k", type = "color", texture = true, min = 0, doc = "The imaginary part of the refractive index." },
    {
      "color", type = "color", texture = true, min = 0, max = 1,
      doc = "Reflectance at normal incidence, with Schlick's curve.",
    },
    rough, alpha,
  },
  exclusive = { { "preset", "eta", "color" }, { "preset", "k", "color" }, either_roughness },
  together = { { "eta", "k" } },
  finish = function(fields, fail)
    if fields.preset then
      local metal = metals[fields.preset]
      fields.eta, fields.k = metal.eta, metal.k
    elseif not fields.eta and not fields.color then
      fail("expected a preset, eta and k, or color")
    end
  end,
}

rough, alpha = roughness()
define {
  name = "glass",
  doc = "A dielectric, smooth or with GGX roughness, with exact Fresnel. Its surface should be closed and its "
    .. "normals point outwards.",
  fields = {
    { "ior", type = "factor", above = 0, default = 1.5, doc = "Refractive index of the inside against the outside." },
    reflectance(1, "Tints what goes through, at each crossing of the surface."),
    rough, alpha,
  },
  exclusive = { either_roughness },
}

rough, alpha = roughness()
define {
  name = "plastic",
  doc = "A clear dielectric coat over a diffuse base.",
  fields = {
    reflectance(0.8, "Reflectance of the base."),
    { "ior", type = "factor", above = 0, default = 1.5, doc = "Refractive index of the coat." },
    rough, alpha,
  },
  exclusive = { either_roughness },
}

define {
  name = "light",
  doc = "A surface that emits and reflects nothing. It emits on the side of its normal, or on both.",
  fields = {
    {
      "radiance", type = "number", min = 0,
      doc = "Radiance, W/(m² sr), times color; 1 when neither it nor power is given.",
    },
    {
      "power", type = "number", min = 0,
      doc = "Flux of each placed copy in W per channel, all emitting sides together, times color; instead of radiance.",
    },
    {
      "color", type = "color", texture = true, min = 0, default = 1,
      doc = "Multiplies radiance or power; a kelvin colour has luminance 1. A power needs a plain colour, no texture.",
    },
    { "two_sided", type = "boolean", default = false, doc = "Emits on both sides." },
  },
  exclusive = { { "radiance", "power" } },
  finish = function(fields, fail)
    if fields.power and description.is(fields.color, families.texture) then
      fail("color: power needs a plain colour, got a texture: give radiance, or one colour")
    end
    if not fields.radiance and not fields.power then fields.radiance = 1 end
  end,
}

define {
  name = "two_sided",
  doc = "A material for each side of a surface.",
  fields = {
    { "front", type = "material", required = true, doc = "On the side of the normal." },
    { "back", type = "material", required = true, doc = "On the other side." },
  },
}

define {
  name = "mix",
  doc = "A blend of two materials.",
  fields = {
    { "a", type = "material", required = true, doc = "The material where amount is 0." },
    { "b", type = "material", required = true, doc = "The material where amount is 1." },
    { "amount", type = "factor", min = 0, max = 1, default = 0.5, doc = "The weight of b; a has the rest." },
  },
}

return materials
