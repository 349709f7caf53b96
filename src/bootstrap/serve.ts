import { formatListenAddress, type ListenAddress } from "../config/flag.ts";
import type { Flags } from "../config/flags.ts";
import { readVersion } from "../config/version.ts";
import type { Log } from "../lib/log.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";

/** Runs the control plane until SIGTERM or SIGINT, then drains it. Rejects where it cannot start. */
export async function serveUntilSignal(flags: Flags, log: Log): Promise<void> {
  const controlPlane = await startControlPlane({ flags, log });
  log.info("serving", {
    version: readVersion(),
    xds: controlPlane.grpcAddress,
    ...(controlPlane.secureGrpcAddress() === "" ? {} : { secureXds: controlPlane.secureGrpcAddress() }),
    http: describe(flags.httpAddr, controlPlane.httpPort),
    monitoring: describe(flags.monitoringAddr, controlPlane.monitoringPort),
    ...(controlPlane.webhookPort === 0 ? {} : { webhook: describe(flags.httpsAddr, controlPlane.webhookPort) }),
    config: flags.configDir === "" ? "Kubernetes" : flags.configDir,
  });
  const signal = await nextSignal();
  log.info("stopping", { signal, within: `${flags.shutdownDuration / 1000}s` });
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
