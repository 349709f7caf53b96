import { formatListenAddress, type ListenAddress } from "../config/flag.ts";
import type { Flags } from "../config/flags.ts";
import { readVersion } from "../config/version.ts";
import type { Log } from "../lib/log.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import { limitHeapGrowth } from "./heap-growth.ts";

/** Runs the control plane until SIGTERM or SIGINT, then drains it; ends the process where one comes before it serves. Rejects where it cannot start. */
export async function serveUntilSignal(flags: Flags, log: Log): Promise<void> {
  limitHeapGrowth();
  // Heard from the beginning: a control plane that is ready is also one that drains.
  const signal = nextSignal();
  const starting = startControlPlane({ flags, log });
  const isStarted = await Promise.race([starting.then(() => true), signal.then(() => false)]);
  if (!isStarted) {
    log.info("ended while starting", { signal: await signal });
    // Nobody is served yet, and what it waits for may never come.
    process.exit(0);
  }
  const controlPlane = await starting;
  log.info("serving", {
    version: readVersion(),
    xds: controlPlane.grpcAddress,
    ...(controlPlane.secureGrpcAddress() === "" ? {} : { secureXds: controlPlane.secureGrpcAddress() }),
    http: describe(flags.httpAddr, controlPlane.httpPort),
    monitoring: describe(flags.monitoringAddr, controlPlane.monitoringPort),
    ...(controlPlane.webhookPort === 0 ? {} : { webhook: describe(flags.httpsAddr, controlPlane.webhookPort) }),
    config: flags.configDir === "" ? "Kubernetes" : flags.configDir,
  });
  log.info("stopping", { signal: await signal, within: `${flags.shutdownDuration / 1000}s` });
  await stop(controlPlane, log);
}

async function stop(controlPlane: ControlPlane, log: Log): Promise<void> {
  await controlPlane.stop();
  log.info("stopped");
}

const describe = ({ host }: ListenAddress, port: number): string => formatListenAddress({ host, port });

/** Later signals change nothing: npm passes Ctrl-C on a second time, and the drain has its own limit. */
function nextSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => resolve(name));
  });
}
