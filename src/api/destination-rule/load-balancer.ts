/** Load balancing of a DestinationRule; the locality settings are also part of the mesh configuration. */
import {
  decimal,
  duration,
  flag,
  list,
  map,
  name,
  oneOf,
  optional,
  record,
  text,
  texts,
  uint32,
  uint64,
} from "../schema-fields.ts";

const failover = optional(
  list(
    record(
      {
        from: optional(text("Region of the caller.")),
        to: optional(text("Region that takes over when that of the caller is unhealthy.")),
      },
      "Where the traffic of a region goes when its endpoints are unhealthy.",
    ),
    "Failover between regions; only one of distribute, failover and failoverPriority may be set.",
  ),
);
const failoverPriority = optional(
  texts(
    "Labels, as key or key=value, in order: endpoints that share more of the leading labels with the caller come first.",
  ),
);

export const localityLbSettingSchema = record(
  {
    distribute: optional(
      list(
        record(
          {
            from: optional(text('Locality of the caller as "region/zone/subzone"; parts may be left out or "*".')),
            to: optional(map(uint32("Share in percent."), "Localities and their shares, which add up to 100.")),
          },
          "How traffic of one locality is spread.",
        ),
        "Explicit shares for each locality of callers.",
      ),
    ),
    failover,
    failoverPriority,
    enabled: optional(flag("Turns balancing by locality on or off, whatever the mesh says.")),
  },
  "Balancing by locality.",
);

export const zoneAwareLbSettingSchema = record(
  {
    enabled: optional(flag("Turns zone-aware routing on or off, whatever the mesh says.")),
    failover,
    failoverPriority,
    minClusterSize: optional(uint32("Fewest endpoints of a service for zone-aware routing; 6 where not given.")),
  },
  "Zone-aware routing: the caller's own zone first, the others as far as it has not enough capacity.",
);

const consistentHash = record(
  {
    httpHeaderName: optional(text("Hashes the value of this header.")),
    httpCookie: optional(
      record(
        {
          name: name("Name of the cookie."),
          path: optional(text("Path of the cookie that is made.")),
          ttl: optional(
            duration(
              "Lifetime of the cookie that is made; 0s makes a session cookie. None is made where it is not given.",
            ),
          ),
          attributes: optional(
            list(
              record(
                { name: optional(text("Name of the attribute.")), value: optional(text("Its value.")) },
                "One attribute.",
              ),
              "More attributes of the cookie, such as SameSite.",
            ),
          ),
        },
        "Hashes the value of this cookie.",
      ),
    ),
    useSourceIp: optional(flag("Hashes the source address.")),
    httpQueryParameterName: optional(text("Hashes the value of this query parameter.")),
    ringHash: optional(
      record(
        { minimumRingSize: optional(uint64("Smallest number of points on the ring; 1024 where not given.")) },
        "Uses a hash ring.",
      ),
    ),
    maglev: optional(
      record(
        { tableSize: optional(uint64("Size of the table, a prime number; 65537 where not given.")) },
        "Uses Maglev's look-up table.",
      ),
    ),
    minimumRingSize: optional(uint64("Smallest number of points on the ring. Use ringHash instead.")),
  },
  "Sends requests with an equal hash to the same endpoint.",
);

export const loadBalancerSchema = record(
  {
    simple: optional(
      oneOf(
        ["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"],
        "A balancer without options. LEAST_CONN is the old name of LEAST_REQUEST.",
      ),
    ),
    consistentHash: optional(consistentHash),
    localityLbSetting: optional(localityLbSettingSchema),
    zoneAwareLbSetting: optional(zoneAwareLbSettingSchema),
    warmupDurationSecs: optional(duration("How long a new endpoint is warmed up. Use warmup instead.")),
    warmup: optional(
      record(
        {
          duration: duration("How long the share of a new endpoint grows."),
          minimumPercent: optional(decimal("Share at the start in percent; 10 where not given.")),
          aggression: optional(decimal("Speed of growth, at least 1; 1 is linear.")),
        },
        "Lets the traffic of a new endpoint grow slowly.",
      ),
    ),
  },
  "How an endpoint is chosen.",
);
