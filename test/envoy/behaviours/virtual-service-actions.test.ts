import { describeBehaviours } from "./runner.ts";

describeBehaviours("virtual-service-actions");
