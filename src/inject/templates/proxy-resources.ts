import type { PlainObject } from "../../api/plain-value.ts";
import { annotation } from "../annotation-names.ts";
import { defined, unlessEmpty } from "../pod-fields.ts";
import type { TemplateData } from "./template-data.ts";

/** Requests and limits of the proxy. A pod that names one of them by annotation has none of the mesh's. */
export function proxyResources({ annotations, values }: TemplateData): PlainObject {
  const requests = defined({
    cpu: annotations[annotation.proxyCpu],
    memory: annotations[annotation.proxyMemory],
  });
  const limits = defined({
    cpu: annotations[annotation.proxyCpuLimit],
    memory: annotations[annotation.proxyMemoryLimit],
  });
  const own = defined({ requests: unlessEmpty(requests), limits: unlessEmpty(limits) });
  return unlessEmpty(own) ?? values.proxy.resources;
}
