/** What a control plane says that has lost its mind, one way at a time. */
import { randomBytes } from "node:crypto";
import { packAny } from "@meltemi/protos";
import type { AdsStream } from "./ads-stream.ts";
import { type Kind, kinds, type NamedResource } from "./good-configuration.ts";

/** What garbage may use besides the stream. */
export interface Surroundings {
  /** The configuration that is in use, for responses of a state of the world that shall not take it away. */
  readonly good: Readonly<Record<Kind, readonly NamedResource[]>>;
  /** Share of the full sizes: 1 for `make hostile`. */
  readonly scale: number;
  /** Calls it every so often while the stream lives. */
  readonly every: (periodMs: number, run: () => void) => void;
  /** Names of clusters that came with the garbage, so that they can be taken away again. */
  readonly note: (names: readonly string[]) => void;
}

/** Begins on a stream that is there, or on each new one. */
export type Garbage = (stream: AdsStream, surroundings: Surroundings) => void;

const mebibyte = 1024 * 1024;
/** Bytes that may wait on this side: the proxy decides how fast it reads. */
const waitingLimit = mebibyte / 4;
const kindNames = Object.keys(kinds) as Kind[];

function unwise(index: number): readonly NamedResource[] {
  const bad: readonly (readonly [Kind, object])[] = [
    [
      "clusters",
      {
        name: `bad-${index}`,
        type: "STATIC",
        lb_policy: "RING_HASH",
        ring_hash_lb_config: { minimum_ring_size: { value: "99999999999" } },
      },
    ],
    ["clusters", { name: `bad-${index}`, type: "EDS" }],
    ["clusters", { name: `bad-${index}`, cluster_type: { name: "nobody.knows.this" } }],
  ];
  const [kind, message] = bad[index % bad.length] ?? ["clusters", {}];
  return [pack(kind, `bad-${index}`, message)];
}

function pack(kind: Kind, name: string, message: object): NamedResource {
  return { name, resource: packAny(kinds[kind], message) };
}

/** Fields that are well-formed, and mean nothing. */
const nonsensical: Readonly<Record<Kind, readonly object[]>> = {
  clusters: [
    { name: "", type: "STATIC" },
    { name: "small", connect_timeout: { seconds: "-5" } },
    { name: "small", type: "EDS", eds_cluster_config: {} },
    { name: "large", type: "LOGICAL_DNS" },
    { name: "sink", load_balancing_policy: { policies: [{ typed_extension_config: { name: "nobody.knows.this" } }] } },
  ],
  endpoints: [
    {
      cluster_name: "small",
      endpoints: [
        {
          lb_endpoints: [
            { endpoint: { address: { socket_address: { address: "not an address", port_value: 99_999 } } } },
          ],
        },
      ],
    },
    { cluster_name: "large", endpoints: [{ priority: 9 }] },
  ],
  listeners: [
    { name: "plain" },
    { name: "plain", address: { socket_address: { address: "999.1.1.1", port_value: 70_000 } } },
    { name: "secure", address: { pipe: { path: "" } }, filter_chains: [{ filters: [{ name: "nobody.knows.this" }] }] },
  ],
  routes: [
    { name: "routes", virtual_hosts: [{ name: "", domains: [] }] },
    {
      name: "routes",
      virtual_hosts: [
        {
          name: "a",
          domains: ["*"],
          routes: [{ match: { safe_regex: { regex: "((((" } }, route: { cluster: "small" } }],
        },
      ],
    },
  ],
};

function sendWhole(stream: AdsStream, { good }: Surroundings, kind: Kind, resources: readonly NamedResource[]): void {
  const replaced = new Set(resources.map(({ name }) => name));
  const kept = stream.isDelta ? [] : good[kind].filter(({ name }) => !replaced.has(name));
  stream.answer({ kind, resources: [...kept, ...resources] });
}

/** 50 MB of clusters: `count` with so much metadata that they come to that. */
function manyClusters(scale: number, extra: object): readonly NamedResource[] {
  const count = Math.round(5_000 * scale);
  const filler = { filter_metadata: { filler: { fields: { text: { string_value: "x".repeat(10_000) } } } } };
  return Array.from({ length: count }, (_, index) =>
    pack("clusters", `huge-${index}`, { name: `huge-${index}`, type: "STATIC", metadata: filler, ...extra }),
  );
}

export const garbage = {
  /** Bytes that are no message, framed as one. */
  garbledMessages: (stream) => stream.writeMessage(randomBytes(200)),

  /** Bytes that are not even framed. */
  garbledFrames: (stream) => stream.write(randomBytes(4_096)),

  /** Well-formed messages with fields that mean nothing, one kind after the other. */
  nonsense: (stream, surroundings) => {
    let turn = 0;
    surroundings.every(20, () => {
      const kind = kindNames[turn % kindNames.length] ?? "clusters";
      const messages = nonsensical[kind];
      const message = messages[Math.floor(turn / kindNames.length) % messages.length] ?? {};
      const { name, cluster_name } = message as { readonly name?: string; readonly cluster_name?: string };
      turn += 1;
      sendWhole(stream, surroundings, kind, [pack(kind, name ?? cluster_name ?? "", message)]);
    });
  },

  /** Resources of one type under the URL of another, types that nobody knows, and none at all. */
  wrongTypes: (stream, surroundings) => {
    const { good, every } = surroundings;
    const urls = ["type.googleapis.com/no.such.Type", "", "envoy.config.cluster.v3.Cluster/"];
    let turn = 0;
    every(20, () => {
      turn += 1;
      const other = kindNames[(turn + 1) % kindNames.length] ?? "listeners";
      const kind = kindNames[turn % kindNames.length] ?? "clusters";
      if (turn % 2 === 0) stream.answer({ kind, resources: good[kind], typeUrl: urls[turn % urls.length] ?? "" });
      else
        sendWhole(
          stream,
          surroundings,
          kind,
          good[other].map((each) => ({ ...each, name: `wrong ${each.name}` })),
        );
    });
  },

  /** A message of 200 MB is announced, and comes at a megabyte a second. */
  announced: (stream, { every }) => {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(200 * mebibyte, 1);
    stream.write(head);
    every(100, () => stream.write(Buffer.alloc(mebibyte / 10)));
  },

  /** More is announced than anybody would take. */
  tooLong: (stream) => {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(2 ** 32 - 1, 1);
    stream.write(Buffer.concat([head, Buffer.alloc(65_536)]));
  },

  /** 50 MB of clusters that can be used. */
  hugeGood: (stream, surroundings) => {
    const clusters = manyClusters(surroundings.scale, {});
    surroundings.note(clusters.map(({ name }) => name));
    sendWhole(stream, surroundings, "clusters", clusters);
  },

  /** 50 MB of clusters that cannot. */
  hugeBad: (stream, surroundings) => {
    sendWhole(stream, surroundings, "clusters", manyClusters(surroundings.scale, { cluster_type: { name: "nobody" } }));
  },

  emptyNonces: (stream, { good, every }) => {
    every(10, () => {
      for (const kind of kindNames) stream.answer({ kind, resources: good[kind], nonce: "" });
    });
  },

  /** The same again and again, as fast as it is taken. */
  duplicates: (stream, { good, every }) => {
    every(1, () => {
      for (let index = 0; index < 25 && stream.waitingBytes < waitingLimit; index++) {
        for (const kind of kindNames) stream.answer({ kind, resources: good[kind] });
      }
    });
  },

  /** Clusters under ever new names that cannot be used, as fast as they are taken. */
  refusals: (stream, surroundings) => {
    let count = 0;
    surroundings.every(1, () => {
      for (let index = 0; index < 25 && stream.waitingBytes < waitingLimit; index++) {
        count += 1;
        sendWhole(stream, surroundings, "clusters", unwise(count));
      }
    });
  },

  /** Each stream ends as soon as something was said on it. */
  hangUps: (stream, { good }) => {
    stream.answer({ kind: "clusters", resources: good.clusters });
    stream.end();
  },

  silence: () => undefined,

  /** Takes away what never was there. In a state of the world there is no such thing: names that nobody asked for instead. */
  removals: (stream, { good, scale, every }) => {
    let turn = 0;
    every(50, () => {
      turn += 1;
      const removed = Array.from({ length: Math.round(2_000 * scale) }, (_, index) => `unknown-${turn}-${index}`);
      for (const kind of kindNames) {
        if (stream.waitingBytes > waitingLimit) return;
        const unknown = removed.slice(0, 100).map((name) => pack("endpoints", name, { cluster_name: name }));
        if (stream.isDelta) stream.answer({ kind, resources: [], removed });
        else stream.answer({ kind, resources: kind === "endpoints" ? [...good[kind], ...unknown] : good[kind] });
      }
    });
  },
} satisfies Readonly<Record<string, Garbage>>;

export type GarbageName = keyof typeof garbage;
