/** What a command does with its keys, and so where its parts go. */
export type CommandKind =
  /** The first argument is its only key, or all of its keys are where the first is. */
  | "first-key"
  /** EVAL and EVALSHA: script, number of keys, keys. */
  | "eval"
  /** One answer is the sum of those of all keys. */
  | "sum"
  /** One answer is the list of those of all keys. */
  | "list"
  /** Pairs of keys and values, each for itself. */
  | "pairs"
  /** Answered here. */
  | "local";

const firstKey =
  "append bitcount bitfield bitfield_ro bitpos copy decr decrby dump expire expireat expiretime geoadd geodist geohash " +
  "geopos georadius_ro georadiusbymember_ro geosearch get getbit getdel getex getrange getset hdel hexists hget hgetall " +
  "hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield hscan hset hsetnx hstrlen hvals incr incrby incrbyfloat lindex " +
  "linsert llen lmove lpop lpos lpush lpushx lrange lrem lset ltrim object persist pexpire pexpireat pexpiretime pfadd pfcount " +
  "pfmerge psetex pttl publish rename renamenx restore rpop rpoplpush rpush rpushx sadd scard sdiff sdiffstore set setbit " +
  "setex setnx setrange sinter sinterstore sismember smembers smismember smove sort sort_ro spop srandmember srem sscan " +
  "strlen substr sunion sunionstore ttl type xack xadd xautoclaim xclaim xdel xlen xpending xrange xrevrange xtrim zadd " +
  "zcard zcount zincrby zlexcount zmscore zpopmax zpopmin zrandmember zrange zrangebylex zrangebyscore zrangestore zrank zrem " +
  "zremrangebylex zremrangebyrank zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore";

const kinds: ReadonlyMap<string, CommandKind> = new Map<string, CommandKind>([
  ...firstKey.split(" ").map((name) => [name, "first-key"] as const),
  ["eval", "eval"],
  ["evalsha", "eval"],
  ["del", "sum"],
  ["exists", "sum"],
  ["touch", "sum"],
  ["unlink", "sum"],
  ["mget", "list"],
  ["mset", "pairs"],
  ["auth", "local"],
  ["echo", "local"],
  ["ping", "local"],
  ["quit", "local"],
]);

/** By its name in small letters; undefined for those that cannot be sent to one host by a key. */
export function findCommandKind(name: string): CommandKind | undefined {
  return kinds.get(name);
}

export const commandNames: readonly string[] = [...kinds.keys()];

/** What is hashed of a key: what stands in its first braces, where tags are on and there is something. */
export function hashedPart(key: string, usesTags: boolean): string {
  if (!usesTags) return key;
  const start = key.indexOf("{");
  const end = key.indexOf("}", start);
  return start < 0 || end <= start + 1 ? key : key.slice(start + 1, end);
}
