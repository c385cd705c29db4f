//! The names that APPSYNC_JS documents, as space-separated lists. Any other name in a file is an error.

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
pub const OBJECTS: [(&str, &str); 8] = [
    ("Object", "assign entries hasOwn keys values"),
    ("Number", "isFinite isNaN"),
    ("Math", "random min max round floor ceil"),
    ("JSON", "parse stringify"),
    ("console", "log error"),
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

/// The other methods of arrays and strings.
pub const METHODS: &str = "charAt concat endsWith fill flat indexOf join lastIndexOf pop push replace replaceAll \
    reverse shift slice sort splice split startsWith toLowerCase toUpperCase trim trimEnd trimStart unshift";

pub fn contains(words: &str, name: &str) -> bool {
    words.split_ascii_whitespace().any(|word| word == name)
}

/// The list of members of an object or module.
pub fn members_of<'a>(table: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    table.iter().find(|(object, _)| *object == name).map(|(_, members)| *members)
}
