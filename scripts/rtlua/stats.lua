-- --stats: what a render was made of and how fast it went, on standard error (or as a JSON event).

local system = require "rtlua.system"

local stats = {}

function stats.bytes(n)
  if n < 1024 then return ("%d bytes"):format(n) end
  if n < 1024 * 1024 then return ("%.1f KiB"):format(n / 1024) end
  if n < 1024 * 1024 * 1024 then return ("%.1f MiB"):format(n / (1024 * 1024)) end
  return ("%.2f GiB"):format(n / (1024 * 1024 * 1024))
end

--- 1234567 as "1,234,567".
function stats.count(n)
  local digits = ("%d"):format(n)
  local grouped = digits:reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (grouped:gsub("^,", ""))
end

function stats.report(show, core, last, settings)
  local info = core:describe()
  local rate = last.seconds > 0 and last.rays / last.seconds or 0
  show:event("stats", {
    info = info, rays_per_second = rate, samples_per_second = last.seconds > 0 and last.made / last.seconds or 0,
    film_bytes = last.film_bytes, not_finite = last.not_finite, overflow = last.overflow, threads = settings.threads,
    peak_memory = system.peak_memory(),
  })
  if show.json then return end
  local lines = {
    { "triangles", ("%s stored, %s placed"):format(stats.count(info.triangles), stats.count(info.placed_triangles)) },
    { "primitives", stats.count(info.placed_primitives) .. " placed" },
    { "build time", ("%.3f s"):format(info.build_seconds) },
    { "memory", ("%s for the scene, %s for the film, %s at most"):format(stats.bytes(info.bytes),
      stats.bytes(last.film_bytes), stats.bytes(system.peak_memory())) },
    { "samples", ("%s in %.2f s, %.2f million per second"):format(
      stats.count(last.made), last.seconds, last.seconds > 0 and last.made / last.seconds / 1e6 or 0) },
    { "rays", ("%s, %.2f million per second"):format(stats.count(last.rays), rate / 1e6) },
    { "dropped", ("%s not finite, %s too bright"):format(stats.count(last.not_finite), stats.count(last.overflow)) },
    { "threads", stats.count(settings.threads) },
  }
  for _, line in ipairs(lines) do io.stderr:write(("%-12s %s\n"):format(line[1], line[2])) end
end

return stats
