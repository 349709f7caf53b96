export type { NodeOverrides } from "./config/build-node.ts";
export { readBootstrap } from "./config/read-bootstrap.ts";
export { type Clock, systemClock } from "./lib/clock.ts";
export { ConfigError } from "./lib/config-error.ts";
export { type Log, silentLog } from "./lib/log.ts";
export { type StartProxyOptions, startProxy } from "./server/start-proxy.ts";
export type { LogLevels, RunningProxy, ServerState } from "./server/types.ts";
