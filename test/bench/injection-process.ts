/** The process that is measured by injection-bench.ts: the injector over HTTPS, and nothing else. */
import { buildSettings, startInjectionServer } from "../support/injection-server.ts";

export type InjectionCommand = { readonly do: "usage" } | { readonly do: "stop" };
export type InjectionAnswer =
  | { readonly is: "listening"; readonly port: number; readonly roots: string }
  | { readonly is: "usage"; readonly cpuMs: number; readonly rssBytes: number };

const resources = { requests: { cpu: "100m", memory: "128Mi" }, limits: { cpu: "2000m", memory: "1024Mi" } };
const values = { global: { hub: "registry.example/mesh", tag: "1.0", proxy: { resources } } };
const server = await startInjectionServer({ objects: [buildSettings({}, values)] });

process.on("message", (message) => handle(message as InjectionCommand));
// The load generator is gone: nobody will ask for anything any more.
process.on("disconnect", () => process.exit(1));
answer({ is: "listening", port: server.port, roots: server.roots });

function handle(command: InjectionCommand): void {
  if (command.do === "stop") {
    void server.stop().then(() => process.exit(0));
    return;
  }
  const { user, system } = process.cpuUsage();
  answer({ is: "usage", cpuMs: (user + system) / 1000, rssBytes: process.memoryUsage.rss() });
}

function answer(value: InjectionAnswer): void {
  process.send?.(value);
}
