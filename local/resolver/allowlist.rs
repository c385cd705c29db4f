//! The names that APPSYNC_JS documents, or that AWS's own samples use, as space-separated lists. Any other
//! name in a file is an error.

/// Modules and their exports.
pub const IMPORTS: [(&str, &str); 2] = [
    ("@aws-appsync/utils", "util extensions runtime"),
    (
        "@aws-appsync/utils/dynamodb",
        "get put update remove query scan sync batchGet batchPut batchDelete transactGet transactWrite operations \
         toStringSet toNumberSet toBinarySet",
    ),
];

/// Global constants.
pub const VALUES: &str = "NaN Infinity undefined";

/// Global objects and their members. None of the objects is callable.
pub const OBJECTS: [(&str, &str); 10] = [
    // AWS's documents do not list Array.isArray. Samples and deployed code use it.
    ("Array", "isArray"),
    ("String", "raw"),
    ("Object", "assign entries hasOwn keys values"),
    ("Number", "isFinite isNaN"),
    ("Math", "random min max round floor ceil"),
    ("JSON", "parse stringify"),
    // AWS's documents do not list console.debug. A sample of AWS (live meeting assistant) uses it.
    ("console", "debug error log"),
    (
        "util",
        "error appendError unauthorized authType autoId autoUlid autoKsuid escapeJavaScript urlEncode urlDecode \
         base64Encode base64Decode matches time dynamodb rds http xml transform math str",
    ),
    ("extensions", "setSubscriptionFilter setSubscriptionInvalidationFilter invalidateSubscriptions evictFromApiCache"),
    ("runtime", "earlyReturn"),
];

/// Objects that must be imported.
pub const IMPORTED_OBJECTS: [(&str, &str); 1] =
    [("operations", "add remove replace increment decrement append prepend updateListItem")];

/// The members of `util` that are objects, and their members.
pub const UTILITIES: [(&str, &str); 8] = [
    (
        "time",
        "nowISO8601 nowEpochSeconds nowEpochMilliSeconds nowFormatted parseFormattedToEpochMilliSeconds \
         parseISO8601ToEpochMilliSeconds epochMilliSecondsToSeconds epochMilliSecondsToISO8601 \
         epochMilliSecondsToFormatted",
    ),
    (
        "dynamodb",
        "toDynamoDB toString toStringSet toNumber toNumberSet toBinary toBinarySet toBoolean toNull toList toMap \
         toMapValues toS3Object fromS3ObjectJson",
    ),
    (
        "transform",
        "toDynamoDBFilterExpression toDynamoDBConditionExpression toElasticsearchQueryDSL toSubscriptionFilter",
    ),
    ("http", "copyHeaders addResponseHeader addResponseHeaders"),
    ("math", "roundNum minVal maxVal randomDouble randomWithinRange"),
    ("str", "normalize"),
    ("rds", "toJsonObject toJsonString"),
    ("xml", "toMap toJsonString"),
];

/// The array methods that take a callback.
pub const CALLBACK_METHODS: &str =
    "forEach map flatMap filter reduce reduceRight find findIndex findLast findLastIndex some every";

/// The other methods of arrays and strings. AWS's documents do not list `includes` and `substring`. Samples
/// of AWS use them (live meeting assistant, aws-appsync-resolver-samples).
pub const METHODS: &str = "charAt concat endsWith fill flat includes indexOf join lastIndexOf pop push replace \
    replaceAll reverse shift slice sort splice split startsWith substring toLowerCase toUpperCase trim trimEnd \
    trimStart unshift";

/// Modules and members that AWS has and the local server has not: its data sources are DynamoDB, Lambda and
/// NONE, and it caches nothing. AWS documents `String.raw`, and AWS's eslint plugin refuses it.
pub const NOT_LOCAL: [&str; 6] = [
    "@aws-appsync/utils/rds",
    "@aws-appsync/utils/ai",
    "util.rds",
    "util.xml",
    "extensions.evictFromApiCache",
    "String.raw",
];

pub fn contains(words: &str, name: &str) -> bool {
    words.split_ascii_whitespace().any(|word| word == name)
}

/// The list of members of an object or module.
pub fn members_of<'a>(table: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    table.iter().find(|(object, _)| *object == name).map(|(_, members)| *members)
}
