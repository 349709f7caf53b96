/** The sidecar's companion process; `meltemi agent` is its command line. */
export { type Agent, type AgentEnd, type AgentOptions, startAgent } from "./agent.ts";
export { readEnvironment } from "./config/env.ts";
export type { ProxyType } from "./config/node.ts";
export { ConfigError } from "./config/proxy-config.ts";
export { type AgentFlags, defaultFlags } from "./config/settings.ts";
