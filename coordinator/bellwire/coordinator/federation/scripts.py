"""What Redis does for the directory at one stroke: nobody sees half of it."""

from __future__ import annotations

from typing import Final

__all__ = ["CLAIM", "HOLD", "KEEP", "LOOK", "RELEASE"]

# Gives who holds a lease, from its value; nil = nobody, or what was not written by a coordinator.
_HELD: Final = """\
local function held(value)
  if not value then
    return nil
  end
  local ok, holder = pcall(cjson.decode, value)
  if ok and type(holder) == 'table' and type(holder['id']) == 'string'
      and type(holder['group']) == 'string' and type(holder['address']) == 'string' then
    return holder
  end
end
"""
# KEYS[1] an agent's lease; ARGV: our value, its time to live in ms, our group.
# Gives the value that stands there then. What the one active before us in our group held is ours now.
CLAIM: Final = (
    _HELD
    + """\
local found = redis.call('GET', KEYS[1])
local holder = held(found)
if holder and found ~= ARGV[1] and holder['group'] ~= ARGV[3] then
  return found
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
"""
)
# KEYS agents' leases; ARGV: our value, its time to live. Gives the value that stands at each then.
HOLD: Final = (
    _HELD
    + """\
local stands = {}
for index, key in ipairs(KEYS) do
  local found = redis.call('GET', key)
  if not held(found) or found == ARGV[1] then
    redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
    found = ARGV[1]
  end
  stands[index] = found
end
return stands
"""
)
# KEYS agents' leases; ARGV[1] our value.
RELEASE: Final = """\
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then
    redis.call('DEL', key)
  end
end
"""
# KEYS: our record, the set of coordinators; ARGV: our id, its time to live in ms, head, roster ('' = as it stands),
# most coordinators, prefix of records, channel ('' = tell nobody).
KEEP: Final = """\
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 0 then
  if redis.call('SCARD', KEYS[2]) >= tonumber(ARGV[5]) then
    for _, id in ipairs(redis.call('SMEMBERS', KEYS[2])) do
      if redis.call('EXISTS', ARGV[6] .. id) == 0 then
        redis.call('SREM', KEYS[2], id)
      end
    end
    if redis.call('SCARD', KEYS[2]) >= tonumber(ARGV[5]) then
      return 'FULL'
    end
  end
end
if ARGV[4] == '' and redis.call('HEXISTS', KEYS[1], 'roster') == 0 then
  return 'ROSTER'
end
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], 'head', ARGV[3])
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], 'roster', ARGV[4])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if ARGV[7] ~= '' then
  redis.call('PUBLISH', ARGV[7], ARGV[1])
end
return 'KEPT'
"""
# KEYS[1] the set of coordinators; ARGV[1] prefix of records. Gives id, ms left and head of each.
LOOK: Final = """\
local found = {}
for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local head = redis.call('HGET', ARGV[1] .. id, 'head')
  if head then
    found[#found + 1] = {id, redis.call('PTTL', ARGV[1] .. id), head}
  else
    redis.call('SREM', KEYS[1], id)
  end
end
return found
"""
