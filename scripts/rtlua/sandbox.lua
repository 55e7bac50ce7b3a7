-- What runs first in a sandbox's Lua state, as trusted code: makes the state exact and stoppable, then lets the
-- loader run the scene.

local guard = require "rtlua.core.guard"
local ordered = require "rtlua.core.ordered"

-- Before the library is loaded, so that it has them too.
guard.install()
pairs, next = ordered.pairs, ordered.next -- luacheck: ignore 121

local loader = require "rtlua.loader"

local sandbox = {}

--- Runs a scene. `request` and the result are plain data, but for the core scene in it; errors come back as { failure
--- = ... }.
function sandbox.run(request)
  local result, failure = loader.run(request.path, request.options)
  if not result then return { failure = failure } end
  local scene = require "rtlua.scene"
  return {
    core = result.scene and scene.core(result.scene),
    settings = result.scene and scene.plain(result.scene),
    params_read = result.params_read,
    files = result.files,
  }
end

return sandbox
