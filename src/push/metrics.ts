/** What push and xDS count, under istiod's names (pilot/pkg/xds/monitoring.go). The page of metrics implements it. */

import type { XdsType } from "./resource-types.ts";

export type CounterName =
  | "pilot_xds_pushes"
  | "pilot_push_triggers"
  | "pilot_total_xds_rejects"
  | "pilot_xds_expired_nonce"
  | "pilot_xds_write_timeout"
  | "pilot_sds_certificate_errors_total"
  | "pilot_total_xds_internal_errors";

export type HistogramName =
  | "pilot_xds_push_time"
  | "pilot_xds_send_time"
  | "pilot_xds_config_size_bytes"
  | "pilot_proxy_convergence_time"
  | "pilot_proxy_queue_time"
  | "pilot_debounce_time";

export interface XdsMetrics {
  count(name: CounterName, labels?: { readonly [label: string]: string }, amount?: number): void;
  /** Seconds or bytes, as the metric's name says. */
  observe(name: HistogramName, value: number, labels?: { readonly [label: string]: string }): void;
  /** A proxy refused a response, with the code of its error; undefined: it took one again, or it is gone. */
  setReject(type: XdsType, node: string, errorCode: string | undefined): void;
  /** Bytes of a request. */
  noteRequestSize(byteLength: number): void;
}
