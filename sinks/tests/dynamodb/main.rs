//! The DynamoDB sink against a real service: DynamoDB Local, LocalStack or AWS, at `TEST_DYNAMODB_ENDPOINT`.
//! Without it only the tests that need none run, and the others say that they are left out.
mod answers;
mod keys;
mod merged;
mod shop;
mod stock;
mod words;
