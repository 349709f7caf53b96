import { describeBehaviours } from "./runner.ts";

describeBehaviours("virtual-service-resilience");
