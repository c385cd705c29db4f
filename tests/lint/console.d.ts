// The runtime has it; @aws-appsync/utils does not declare it.
declare const console: { log(...values: unknown[]): void; error(...values: unknown[]): void };
