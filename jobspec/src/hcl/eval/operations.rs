//! Operators: arithmetic, comparison, logic.

use hcl_edit::{
    Span as _,
    expr::{BinaryOp, BinaryOperator, Expression, UnaryOp, UnaryOperator},
};

use super::*;

impl Evaluator<'_> {
    pub(super) fn unary(&mut self, operation: &UnaryOp, span: Option<Span>) -> Value {
        let value = self.eval(&operation.expr);
        let wanted = match operation.operator.value() {
            UnaryOperator::Neg => Type::Number,
            UnaryOperator::Not => Type::Bool,
        };
        if value == Value::Unknown {
            return value;
        }
        if value == Value::Null {
            return self.null_operand(span);
        }
        match types::convert(value, &wanted) {
            Ok(Value::Number(number)) => Value::Number(number.negated()),
            Ok(Value::Bool(value)) => Value::Bool(!value),
            Ok(_) => Value::Unknown,
            Err(why) => self.fail(
                "Invalid operand",
                format!("Unsuitable value for unary operand: {why}."),
                operation.expr.span(),
            ),
        }
    }

    pub(super) fn null_operand(&mut self, span: Option<Span>) -> Value {
        self.fail(
            "Operation failed",
            "Error during operation: argument must not be null.",
            span,
        )
    }

    pub(super) fn binary(&mut self, operation: &BinaryOp, span: Option<Span>) -> Value {
        let left = self.eval(&operation.lhs_expr);
        let operator = *operation.operator.value();
        let right = self.eval(&operation.rhs_expr);
        if left == Value::Unknown || right == Value::Unknown {
            return Value::Unknown;
        }
        let wanted = match operator {
            BinaryOperator::Eq => return Value::Bool(left == right),
            BinaryOperator::NotEq => return Value::Bool(left != right),
            BinaryOperator::And | BinaryOperator::Or => Type::Bool,
            _ => Type::Number,
        };
        let left = match types::convert(left, &wanted) {
            Ok(value) => value,
            Err(why) => return self.bad_operand("left", &why, &operation.lhs_expr),
        };
        let right = match types::convert(right, &wanted) {
            Ok(value) => value,
            Err(why) => return self.bad_operand("right", &why, &operation.rhs_expr),
        };
        match (left, right) {
            (Value::Bool(a), Value::Bool(b)) => Value::Bool(if operator == BinaryOperator::And {
                a && b
            } else {
                a || b
            }),
            (Value::Number(a), Value::Number(b)) => self.arithmetic(operator, &a, &b, span),
            _ => self.null_operand(span),
        }
    }

    pub(super) fn arithmetic(
        &mut self,
        operator: BinaryOperator,
        a: &Number,
        b: &Number,
        span: Option<Span>,
    ) -> Value {
        let order = a.compare(b);
        let result = match operator {
            BinaryOperator::Less => return Value::Bool(order.is_lt()),
            BinaryOperator::LessEq => return Value::Bool(order.is_le()),
            BinaryOperator::Greater => return Value::Bool(order.is_gt()),
            BinaryOperator::GreaterEq => return Value::Bool(order.is_ge()),
            BinaryOperator::Div | BinaryOperator::Mod if b.compare(&Number::Int(0)).is_eq() => {
                return self.fail("Division by zero", "Can't divide by zero.", span);
            }
            BinaryOperator::Plus => a.plus(b),
            BinaryOperator::Minus => a.minus(b),
            BinaryOperator::Mul => a.times(b),
            BinaryOperator::Div => a.divided_by(b),
            BinaryOperator::Mod => a.modulo(b),
            BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::And
            | BinaryOperator::Or => None,
        };
        match result {
            Some(number) => Value::Number(number),
            None => self.fail(
                "Operation failed",
                "The result is too large to be a number.",
                span,
            ),
        }
    }

    pub(super) fn bad_operand(&mut self, side: &str, why: &str, operand: &Expression) -> Value {
        self.fail(
            "Invalid operand",
            format!("Unsuitable value for {side} operand: {why}."),
            operand.span(),
        )
    }
}
