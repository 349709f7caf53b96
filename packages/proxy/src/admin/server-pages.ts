/** Pages about the process as a whole. */
import { type Json, structToJson, toJson } from "@meltemi/protos";
import { type AdminPage, BadQueryError, jsonAnswer, okAnswer } from "./admin-page.ts";
import type { AdminSource } from "./types.ts";

/** `startedAt` is of the monotonic clock. */
export function createServerPages(startedAt: number): readonly AdminPage[] {
  return [
    {
      path: "/server_info",
      description: "print server version/status information",
      answer: (source) => jsonAnswer(describeServer(source, startedAt)),
    },
    ...fixedPages,
  ];
}

const unavailable =
  "is not available: this proxy runs in Node, whose own inspector and profiler (node --inspect) do that";

const fixedPages: readonly AdminPage[] = [
  {
    path: "/ready",
    description: "print server state, return 200 if LIVE, otherwise return 503",
    answer: (source) => ({ status: source.state() === "LIVE" ? 200 : 503, body: `${source.state()}\n` }),
  },
  {
    path: "/memory",
    description: "print current allocation/heap usage",
    answer() {
      const { heapUsed, heapTotal, rss } = process.memoryUsage();
      const values = {
        allocated: heapUsed,
        heap_size: heapTotal,
        pageheap_unmapped: 0,
        pageheap_free: heapTotal - heapUsed,
        total_thread_cache: 0,
        total_physical_bytes: rss,
      };
      return jsonAnswer(Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)])));
    },
  },
  {
    path: "/healthcheck/fail",
    isMutating: true,
    description: "cause the server to fail health checks",
    answer(source) {
      source.failHealthChecks(true);
      return okAnswer;
    },
  },
  {
    path: "/healthcheck/ok",
    isMutating: true,
    description: "cause the server to pass health checks",
    answer(source) {
      source.failHealthChecks(false);
      return okAnswer;
    },
  },
  {
    path: "/quitquitquit",
    isMutating: true,
    description: "exit the server",
    answer(source) {
      source.quit();
      return okAnswer;
    },
  },
  {
    path: "/reset_counters",
    isMutating: true,
    description: "reset all counters to zero",
    answer({ stats }) {
      stats.reset();
      return okAnswer;
    },
  },
  {
    path: "/reopen_logs",
    isMutating: true,
    description: "reopen access logs",
    answer(source) {
      source.reopenLogs();
      return okAnswer;
    },
  },
  { path: "/runtime", description: "print runtime values", answer: (source) => jsonAnswer(describeRuntime(source)) },
  {
    path: "/runtime_modify",
    isMutating: true,
    description: "add, change or (with an empty value) take back runtime values: ?KEY=VALUE&KEY=VALUE",
    answer({ runtime }, query) {
      if (query.size === 0) throw new BadQueryError("usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n");
      if (runtime.modify?.(new Map(query)) !== true) throw new BadQueryError("No admin layer specified", 503);
      return okAnswer;
    },
  },
  {
    path: "/init_dump",
    description: "print what the start still waits for",
    answer(source) {
      const names = [
        ...source.listeners.warming(),
        ...source.dump().clusters.flatMap((one) => (one.isWarming ? one.name : [])),
      ];
      return jsonAnswer(
        names.length === 0 ? {} : { unready_targets_dumps: [{ name: "init manager", target_names: names }] },
      );
    },
  },
  {
    path: "/hot_restart_version",
    description: "print the hot restart compatibility version",
    answer: () => ({ body: "disabled" }),
  },
  {
    path: "/contention",
    description: "mutex contention",
    answer: () => ({ body: "There are no mutexes to contend for.\n" }),
  },
  ...["/cpuprofiler", "/heapprofiler", "/allocprofiler"].map((path) => ({
    path,
    isMutating: true,
    description: "enable/disable a profiler (not available)",
    answer: () => ({ status: 501, body: `The profiler ${unavailable}.\n` }),
  })),
  {
    path: "/heap_dump",
    description: "dump the heap (not available)",
    answer: () => ({ status: 501, body: `A dump of the heap ${unavailable}.\n` }),
  },
];

/** Tools read the second part of the version. */
function describeServer({ version, clock, commandLine, bootstrap, state }: AdminSource, startedAt: number): unknown {
  const uptime = `${Math.floor((clock.monotonic() - startedAt) / 1000)}s`;
  return {
    version: `meltemi-proxy/${version}/Clean/RELEASE/node-${process.versions.node}`,
    state: state(),
    uptime_current_epoch: uptime,
    uptime_all_epochs: uptime,
    hot_restart_version: "disabled",
    command_line_options: commandLine,
    node: toJson("envoy.config.core.v3.Node", bootstrap.node ?? {}),
  };
}

/** Values by layer; what an administrator has set is in the final value. */
function describeRuntime({ runtime, bootstrap }: AdminSource): unknown {
  const layers = bootstrap.layered_runtime?.layers ?? [];
  const values = layers.map((layer) =>
    flatten(layer.static_layer === undefined ? {} : structToJson(layer.static_layer)),
  );
  const entries = [...runtime.entries()].map(([key, value]) => [
    key,
    { layer_values: values.map((layer) => toText(layer.get(key))), final_value: toText(value) },
  ]);
  return { entries: Object.fromEntries(entries), layers: layers.map(({ name = "" }) => name) };
}

function flatten(object: { readonly [key: string]: Json }, prefix = ""): ReadonlyMap<string, unknown> {
  const found = new Map<string, unknown>();
  for (const [name, value] of Object.entries(object)) {
    const key = prefix + name;
    found.set(key, value);
    if (typeof value !== "object" || value === null || Array.isArray(value)) continue;
    for (const [below, inner] of flatten(value as { readonly [key: string]: Json }, `${key}.`)) found.set(below, inner);
  }
  return found;
}

function toText(value: unknown): string {
  if (value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
