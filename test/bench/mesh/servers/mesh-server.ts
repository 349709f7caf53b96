/** A control plane that is measured: where it listens, how its source is changed, and what it uses. */
export interface MeshServer {
  /** "host:port" of plaintext ADS. */
  readonly address: string;
  /** Milliseconds from its start until it served; undefined where it was there before. */
  readonly readyMs: number | undefined;
  /** Changes or adds objects at the source; the milliseconds of process.hrtime just before they were handed over. */
  write(objects: readonly MeshObject[]): Promise<number>;
  /** What it has used since it started; delays of the event loop since the last time this was asked. */
  usage(): Promise<ServerUsage>;
  /** Its memory, where it can be after a collection of garbage. */
  memory(): Promise<ServerMemory>;
  /** Records where CPU time goes, where the server can; `stop` writes a .cpuprofile. */
  startProfile(): Promise<void>;
  stopProfile(file: string): Promise<void>;
  stop(): Promise<void>;
}

/** Kubernetes or Istio JSON, as an API server takes it. */
export interface MeshObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

export interface ServerUsage {
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  /** Milliseconds; undefined where the server is not ours. */
  readonly loop?: { readonly p99Ms: number; readonly maxMs: number };
}

export interface ServerMemory {
  readonly rssBytes: number;
  /** Heap and what lies beside it (buffers); undefined where the server is not ours. */
  readonly heapBytes?: number;
}
