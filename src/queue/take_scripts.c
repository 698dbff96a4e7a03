#include "queue/take_scripts.h"

/*
 * A full Redis refuses a script's first write where that takes memory, and none after it. Ending
 * jobs makes room, so the first write is one that takes none and changes nothing.
 */
#define CLOCK                                                                                      \
    "redis.call('XACK', KEYS[1], 'larder', '0-0')\n"                                               \
    "local time = redis.call('TIME')\n"                                                            \
    "local now = time[1] * 1000000 + time[2]\n"                                                    \
    "local function text(n) return string.format('%.0f', n) end\n"

/* An end: what stands for calls alike is free, and the place in the stream is given up. */
#define END                                                                                        \
    "local function leave(entry)\n"                                                                \
    "  redis.call('XACK', KEYS[1], 'larder', entry)\n"                                             \
    "  redis.call('XDEL', KEYS[1], entry)\n"                                                       \
    "end\n"                                                                                        \
    "local function ended(id, key)\n"                                                              \
    "  local alike = redis.call('HGET', key, 'y')\n"                                               \
    "  if alike and alike ~= '' and redis.call('GET', alike) == id then\n"                         \
    "    redis.call('DEL', alike)\n"                                                               \
    "  end\n"                                                                                      \
    "end\n"                                                                                        \
    "local function tell(id, state) redis.call('PUBLISH', KEYS[3], id .. ' ' .. state) end\n"

const char take_begin_text[] =
    CLOCK END "local jobs = {}\n"
              "for i = 1, #ARGV, 2 do\n"
              "  local entry, id = ARGV[i], ARGV[i + 1]\n"
              "  local key = KEYS[2] .. id\n"
              "  local job = redis.call('HMGET', key, 's', 'c', 'r', 'v', 'o', 'd', 'a', 'w', 'x', "
              "'f', 'z', 'c', 'u')\n"
              "  if job[1] ~= 'queued' and job[1] ~= 'running' then\n"
              "    leave(entry)\n"
              "    jobs[#jobs + 1] = false\n"
              "  else\n"
              "    if job[1] == 'running' then job[11] = redis.call('HINCRBY', key, 'z', 1)\n"
              "    else job[7] = redis.call('HINCRBY', key, 'a', 1) end\n"
              "    redis.call('HSET', key, 's', 'running', 'b', text(now), 'n', '0')\n"
              "    tell(id, 'running')\n"
              "    local fields = {}\n"
              "    for j = 3, 13 do fields[j - 2] = tostring(job[j] or '') end\n"
              "    jobs[#jobs + 1] = fields\n"
              "  end\n"
              "end\n"
              "return jobs\n";

const char take_end_text[] = CLOCK END
    "for i = 3, #ARGV, 10 do\n"
    "  local entry, id, state = ARGV[i], ARGV[i + 1], ARGV[i + 2]\n"
    "  local key = KEYS[2] .. id\n"
    "  local was = redis.call('HGET', key, 's')\n"
    "  local open = was == 'running' or was == 'queued'\n"
    "  local of = string.match(redis.call('HGET', key, 'p') or '', '/(%d+)$')\n"
    "  if was == 'running' and state == 'queued' and ARGV[i + 4] ~= '1' and\n"
    "      redis.call('HGET', key, 'c') == '1' then state = 'cancelled' end\n"
    "  if open and of then\n"
    "    redis.call('HSET', key, 'p', (state == 'done' and of or '0') .. '/' .. of)\n"
    "  end\n"
    "  if open and ARGV[i + 9] ~= '' then redis.call('HSET', key, 'rw', ARGV[i + 9])\n"
    "  elseif open and state == 'done' then redis.call('HDEL', key, 'rw') end\n"
    "  if open and state == 'queued' then\n"
    "    local at = now + ARGV[i + 3]\n"
    "    redis.call('HSET', key, 's', 'queued', 'n', text(at))\n"
    "    if ARGV[i + 4] ~= '0' then redis.call('HINCRBY', key, 'a', -1) end\n"
    "    if ARGV[i + 4] == '2' then redis.call('HINCRBY', key, 'u', 1) end\n"
    "    redis.call('ZADD', KEYS[4], text(at), id)\n"
    "    tell(id, state)\n"
    "  elseif open then\n"
    "    redis.call('HSET', key, 's', state, 'e', text(now), 'n', '0')\n"
    "    if ARGV[i + 5] ~= '0' then\n"
    "      redis.call('HSET', key, 'rs', ARGV[i + 5], 'rt', ARGV[i + 6], 'rl', ARGV[i + 7],\n"
    "        'rb', ARGV[i + 8])\n"
    "    end\n"
    "    ended(id, key)\n"
    "    if state == 'failed' then\n"
    "      redis.call('XADD', KEYS[5], '*', 'j', id)\n"
    "      redis.call('PEXPIRE', key, ARGV[2])\n"
    "    else\n"
    "      redis.call('PEXPIRE', key, ARGV[1])\n"
    "    end\n"
    "    tell(id, state)\n"
    "  end\n"
    "  leave(entry)\n"
    "end\n"
    "return 1\n";

const char take_progress_text[] =
    CLOCK END "local cancelled = {}\n"
              "for i = 1, #ARGV, 2 do\n"
              "  local id, key = ARGV[i], KEYS[2] .. ARGV[i]\n"
              "  local job = redis.call('HMGET', key, 's', 'c', 'p')\n"
              "  local of = string.match(job[3] or '', '/%d+$')\n"
              "  if job[1] == 'running' and of and job[3] ~= ARGV[i + 1] .. of then\n"
              "    redis.call('HSET', key, 'p', ARGV[i + 1] .. of)\n"
              "    tell(id, 'running')\n"
              "  end\n"
              "  cancelled[#cancelled + 1] = job[2] == '1' and 1 or 0\n"
              "end\n"
              "return cancelled\n";

const char take_tend_text[] =
    CLOCK "local due = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', text(now), 'LIMIT', 0, 1000)\n"
          "for _, id in ipairs(due) do\n"
          "  redis.call('ZREM', KEYS[4], id)\n"
          "  local key = KEYS[2] .. id\n"
          "  if redis.call('HGET', key, 's') == 'queued' then\n"
          "    redis.call('HSET', key, 'n', '0')\n"
          "    redis.call('XADD', KEYS[1], '*', 'j', id)\n"
          "  end\n"
          "end\n"
          "redis.call('XTRIM', KEYS[5], 'MINID', text(math.floor(now / 1000) - ARGV[2]))\n"
          "local given = 0\n"
          "if redis.call('EXISTS', KEYS[1]) == 1 then\n"
          "  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do\n"
          "    local fields = {}\n"
          "    for i = 1, #group, 2 do fields[group[i]] = group[i + 1] end\n"
          "    if fields['name'] == ARGV[1] then\n"
          "      given = fields['pending']\n"
          "      for _, worker in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do\n"
          "        local of = {}\n"
          "        for i = 1, #worker, 2 do of[worker[i]] = worker[i + 1] end\n"
          "        if of['pending'] == 0 and of['idle'] > tonumber(ARGV[3]) then\n"
          "          redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], of['name'])\n"
          "        end\n"
          "      end\n"
          "    end\n"
          "  end\n"
          "end\n"
          "return {redis.call('XLEN', KEYS[1]), given, redis.call('ZCARD', KEYS[4]),\n"
          "  redis.call('XLEN', KEYS[5])}\n";

const char take_leave_text[] =
    "for _, worker in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do\n"
    "  local of = {}\n"
    "  for i = 1, #worker, 2 do of[worker[i]] = worker[i + 1] end\n"
    "  if of['name'] == ARGV[2] and of['pending'] == 0 then\n"
    "    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])\n"
    "  end\n"
    "end\n"
    "return 1\n";

const char take_group_text[] =
    "redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')\n"
    "return redis.call('XLEN', KEYS[1])\n";
