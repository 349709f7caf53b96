/** The sidecar's companion process; `meltemi agent` is its command line. */
export {};
