import { type ControlPlane, startControlPlane } from "../../src/bootstrap/control-plane.ts";
import { type GivenOptions, resolveFlags } from "../../src/config/flags.ts";
import type { Clock } from "../../src/lib/clock.ts";
import { type Log, silentLog } from "../../src/lib/log.ts";
import type { KubernetesLimits } from "../../src/sources/kubernetes/limits.ts";
import type { Source } from "../../src/sources/source.ts";
import type { XdsLimits } from "../../src/xds/limits.ts";

export interface TestControlPlaneOptions {
  readonly configDir?: string;
  readonly source?: Source;
  readonly log?: Log;
  readonly limits?: Partial<XdsLimits>;
  readonly options?: GivenOptions;
  readonly watchLimits?: Partial<KubernetesLimits>;
  readonly clock?: Clock;
}

/** A whole control plane in this process, on free loopback ports; the caller stops it. */
export async function startTestControlPlane(given: TestControlPlaneOptions): Promise<ControlPlane> {
  const loopback = "127.0.0.1:0";
  const { flags, problems } = resolveFlags(
    {
      grpcAddr: loopback,
      secureGrpcAddr: "",
      httpAddr: loopback,
      monitoringAddr: loopback,
      shutdownDuration: "1s",
      ...(given.configDir === undefined ? {} : { configDir: given.configDir }),
      ...given.options,
    },
    {},
  );
  if (problems.length > 0) throw new Error(problems.join("; "));
  const { source, limits, watchLimits, clock } = given;
  return startControlPlane({
    flags,
    log: given.log ?? silentLog,
    ...(source === undefined ? {} : { source }),
    ...(limits === undefined ? {} : { limits }),
    ...(watchLimits === undefined ? {} : { watchLimits }),
    ...(clock === undefined ? {} : { clock }),
  });
}
