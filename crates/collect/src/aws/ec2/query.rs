//! A request of EC2's Query API.

/// Version of the API whose answers are read.
const VERSION: &str = "2016-11-15";

/// Parameters of one call, as the Query API numbers them.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    action: &'static str,
    parameters: Vec<(String, String)>,
    filters: usize,
}

impl Query {
    /// A call of `action`, such as `DescribeSubnets`.
    pub(crate) fn new(action: &'static str) -> Self {
        Self {
            action,
            parameters: Vec::new(),
            filters: 0,
        }
    }

    /// The action.
    pub(crate) fn action(&self) -> &'static str {
        self.action
    }

    /// With a parameter.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.parameters.push((name.to_owned(), value.into()));
        self
    }

    /// With a filter: what is returned has any of `values`.
    #[must_use]
    pub(crate) fn filter<V: Into<String>>(
        mut self,
        name: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.filters += 1;
        let filter = format!("Filter.{}", self.filters);
        self = self.with(&format!("{filter}.Name"), name);
        for (at, value) in values.into_iter().enumerate() {
            self = self.with(&format!("{filter}.Value.{}", at + 1), value);
        }
        self
    }

    /// With pages of at most `most` items.
    #[must_use]
    pub(crate) fn pages_of(self, most: u32) -> Self {
        self.with("MaxResults", most.to_string())
    }

    /// The page after the one that gave `token`.
    #[must_use]
    pub(crate) fn after(self, token: Option<String>) -> Self {
        match token {
            Some(token) => self.with("NextToken", token),
            None => self,
        }
    }

    /// The body of the request.
    pub(crate) fn body(&self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", self.action);
        form.append_pair("Version", VERSION);
        for (name, value) in &self.parameters {
            form.append_pair(name, value);
        }
        form.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_and_values_are_numbered_from_one_and_encoded() {
        let query = Query::new("DescribeInstances")
            .filter("vpc-id", ["vpc-1"])
            .filter("tag:kubernetes.io/cluster/a b", ["owned", "shared"])
            .pages_of(1000)
            .after(Some("a+/=".to_owned()));
        assert_eq!(
            query.body(),
            "Action=DescribeInstances&Version=2016-11-15\
             &Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1\
             &Filter.2.Name=tag%3Akubernetes.io%2Fcluster%2Fa+b\
             &Filter.2.Value.1=owned&Filter.2.Value.2=shared\
             &MaxResults=1000&NextToken=a%2B%2F%3D"
        );
    }
}
