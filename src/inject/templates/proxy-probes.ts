/** Probes of the proxy itself. Zeroes are left out, as the API server leaves them out. */
import type { PlainObject } from "../../api/plain-value.ts";
import { annotation } from "../annotation-names.ts";
import { defined } from "../pod-fields.ts";
import type { TemplateData } from "./template-data.ts";

const seconds = (count: number): number | undefined => (count === 0 ? undefined : count);

const readiness = (port: number): PlainObject => ({ path: "/healthz/ready", port });

/** The pod's annotations count, except at gateways, which have none for this in Istio. */
export function readinessProbe(
  { annotations, values }: TemplateData,
  port: number,
  hasAnnotations = true,
): PlainObject {
  const { readinessInitialDelaySeconds, readinessPeriodSeconds, readinessFailureThreshold } = values.proxy;
  const count = (name: string, byDefault: number) =>
    seconds(hasAnnotations && annotations[name] !== undefined ? Number(annotations[name]) : byDefault);
  return defined({
    httpGet: readiness(port),
    initialDelaySeconds: count(annotation.readinessInitialDelay, readinessInitialDelaySeconds),
    periodSeconds: count(annotation.readinessPeriod, readinessPeriodSeconds),
    timeoutSeconds: 3,
    failureThreshold: count(annotation.readinessFailures, readinessFailureThreshold),
  });
}

export function startupProbe({ values }: TemplateData): PlainObject | undefined {
  const { isEnabled, failureThreshold } = values.proxy.startupProbe;
  if (!isEnabled) return undefined;
  return defined({
    httpGet: readiness(15021),
    periodSeconds: 1,
    timeoutSeconds: 3,
    failureThreshold: seconds(failureThreshold),
  });
}
